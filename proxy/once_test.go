package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"silo/proxy"
)

// forgetful is a silo as uWSGI's http gateway is one: it closes each connection
// after one answer, and does not say so. Whoever has not seen that yet and sends a
// second request there gets no answer. It gives its address.
func forgetful(t *testing.T) func() string {
	t.Helper()
	listener := listen(t)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer func() { _ = conn.Close() }()
				reader := bufio.NewReader(conn)
				request, err := http.ReadRequest(reader)
				if err != nil {
					return
				}
				_, _ = io.Copy(io.Discard, request.Body)
				fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(request.Method), request.Method)
				_, _ = http.ReadRequest(reader) // closes at once, were it not for who is to be caught
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		serving.Wait()
	})
	return fixed(listener.Addr().String())
}

func TestASiloMayCloseAConnectionWithoutAWord(t *testing.T) {
	t.Parallel()
	edge := serve(t, proxy.Options{Silo: "eu", Target: forgetful(t)})
	for _, method := range []string{"GET", "POST", "POST", "GET", "DELETE", "PUT", "GET", "PATCH", "POST"} {
		request, err := http.NewRequestWithContext(t.Context(), method, "http://"+edge, strings.NewReader("body"))
		if err != nil {
			t.Fatal(err)
		}
		if method == "GET" {
			request.Body, request.ContentLength = http.NoBody, 0
		}
		if response := do(t, request); response.status != http.StatusOK || response.body != method {
			t.Errorf("%s: %d %s", method, response.status, response.body)
		}
	}
}
