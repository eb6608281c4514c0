package tunnels

import (
	"context"
	"net"
	"testing"
	"testing/synctest"

	"silo/wait/waittest"
)

// If the connection is made too early, the SDK may lose the service's answer.
func TestRedialerWaitsForTheSDK(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	synctest.Test(t, func(t *testing.T) {
		ready := make(chan struct{})
		d := &redialer{ready: ready}
		dialled := make(chan error, 1)
		go func() {
			conn, err := d.DialContext(context.WithoutCancel(t.Context()), "tcp", listener.Addr().String())
			if err == nil {
				err = conn.Close()
			}
			dialled <- err
		}()
		synctest.Wait()
		if len(dialled) > 0 {
			t.Error("dialled before Connect waited for its context")
		}
		ctx := &readyContext{Context: t.Context(), ready: ready}
		_, _ = ctx.Done(), ctx.Done()
		if err := waittest.Receive(t, dialled, "the connection"); err != nil {
			t.Error(err)
		}
	})
}
