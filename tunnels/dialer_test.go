package tunnels

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
)

// What the service answers on a connection made sooner may be lost on the SDK.
func TestNothingIsDialledBeforeTheSDKWaits(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	synctest.Test(t, func(t *testing.T) {
		settled := make(chan struct{})
		d := newDialer(settled, func(error) {})
		dialled := make(chan error)
		early := false
		go func() {
			conn, err := d.DialContext(context.WithoutCancel(t.Context()), "tcp", listener.Addr().String())
			early = true
			if err == nil {
				err = conn.Close()
			}
			dialled <- err
		}()
		synctest.Wait()
		if early {
			t.Error("dialled before Connect waited")
		}
		ctx := &settling{Context: t.Context(), waited: settled}
		_, _ = ctx.Done(), ctx.Done()
		if err := <-dialled; err != nil {
			t.Error(err)
		}
	})
}
