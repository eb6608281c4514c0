package proxy_test

import (
	"context"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"silo/proxy"
)

// net/http's HTTP/2 server may encode a header concurrently with its handler after the
// client has disconnected. The race detector checks this.
func TestEarlyHintsToHTTP2ClientsThatDisconnect(t *testing.T) {
	t.Parallel()
	edge := serve(t, proxy.Options{Silo: "eu", Target: silo(t, func(w http.ResponseWriter, _ *http.Request) {
		for range 20 {
			w.Header()["Link"] = []string{"</a>", "</b>", "</c>"}
			w.WriteHeader(http.StatusEarlyHints)
		}
		_, _ = io.WriteString(w, "ok")
	})})
	client := clientSpeaking(t, protocols(false, true))
	var clients sync.WaitGroup
	for n := range 8 {
		clients.Go(func() {
			for range 50 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(100+n*400)*time.Microsecond)
				request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+edge, nil)
				if err != nil {
					t.Error(err)
				}
				if response, err := client.Do(request); err == nil {
					_, _ = io.Copy(io.Discard, response.Body)
					_ = response.Body.Close()
				}
				cancel()
			}
		})
	}
	clients.Wait()
	if got := do(t, get(t, "http://"+edge)); got.body != "ok" {
		t.Errorf("got %+v", got)
	}
}
