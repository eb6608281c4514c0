package proxy

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"silo/wait/waittest"
)

// Connections on which too little arrives are closed.
func TestSilentConnectionsAreClosed(t *testing.T) {
	t.Parallel()
	server := newServer(http.NotFoundHandler(), nil)
	if server.ReadHeaderTimeout != readHeaderTimeout || server.IdleTimeout != idleTimeout {
		t.Errorf("limits %v and %v", server.ReadHeaderTimeout, server.IdleTimeout)
	}
	server.ReadHeaderTimeout = 50 * time.Millisecond
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	for _, sent := range []string{"", "GET / HTTP/1.1\r\nHo", "PRI * HTTP/2.0\r\n"} {
		conn, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(waittest.Limit))
		fmt.Fprint(conn, sent)
		_, err = io.Copy(io.Discard, conn)
		if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() { // a reset counts too
			t.Errorf("after %q: %v", sent, err)
		}
		_ = conn.Close()
	}
	_ = server.Close()
	_ = waittest.Receive(t, done, "Serve returns")
}
