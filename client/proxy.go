package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"silo/api"
	"silo/proxy"
	"silo/sentry"
)

// bodyTimeout is how long a client may pause within its request's body: the default of nginx's
// client_body_timeout.
const bodyTimeout = time.Minute

// Proxy is a handler that forwards whole requests to one silo, as Sentry's gateway
// and the proxy_request of its silo clients do: method, path, query, body, trailers,
// streams and upgrades, with the headers that sentry.CleanRequest leaves. The response
// has the silo's status, body and trailers, the headers that sentry.CleanResponse
// leaves, and sentry.HeaderProxyURL. Redirects are not followed, and nothing is sent
// twice.
//
// If the silo does not answer, the Proxy does, and sets proxy.ErrorHeader: 503 if it cannot
// connect, while the silo starts or while nothing runs; 504 if the silo takes too long; 502 for any
// other failure (src/apigw/proxy.py, 2026; the older gateway of 23.7.1 answers 408 for 504); 408 if
// the request's own body does not arrive (RFC 9110, section 15.5.9). A tunnel's error page counts
// as a failure too.
//
// The Proxy looks up the silo's address for each request, so restarts do not affect it.
type Proxy struct {
	client      *Client
	forward     *proxy.Proxy
	bodyTimeout time.Duration
}

// Proxy returns a handler for the client's silo. timeout bounds the wait for a
// response to begin; zero means no limit. Close closes its idle connections.
func (c *Client) Proxy(timeout time.Duration) *Proxy {
	p := &Proxy{client: c, bodyTimeout: bodyTimeout}
	p.forward = proxy.New(proxy.Options{
		Silo: c.name, HeaderTimeout: timeout,
		Gateway: &proxy.Gateway{
			Target:         p.target,
			Rewrite:        func(out *http.Request) { cleanHeader(out.Header, sentry.CleanRequest) },
			ModifyResponse: p.modifyResponse,
			Statuses:       map[proxy.Fault]int{proxy.Down: http.StatusServiceUnavailable},
		},
	})
	return p
}

// Close closes idle connections. Requests in flight continue.
func (p *Proxy) Close() { p.forward.Close() }

// ServeHTTP forwards one request.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Body != nil && r.Body != http.NoBody {
		ctx, cancel := context.WithCancelCause(r.Context())
		body := &timedBody{ReadCloser: r.Body, timeout: p.bodyTimeout, expired: func() {
			cancel(&proxy.FaultError{Fault: proxy.Slow, Detail: proxy.Slow.Message(p.client.name)})
			// This ends the pending Read, and the server's Read of the rest.
			_ = http.NewResponseController(w).SetReadDeadline(time.Unix(1, 0))
		}}
		body.timer = time.AfterFunc(p.bodyTimeout, body.expire)
		body.timer.Stop() // until the first Read
		defer body.stop()
		r = r.WithContext(ctx)
		r.Body = body
	}
	p.forward.ServeHTTP(w, r)
}

// target returns the silo's current address.
func (p *Proxy) target(r *http.Request) (*url.URL, error) {
	at, err := p.client.findTarget(r.Context())
	switch {
	case errors.Is(err, api.ErrNotRunning):
		return nil, &proxy.FaultError{Fault: proxy.Down, Detail: fmt.Sprintf("silo %s is down: nothing is running", p.client.name), Hint: "silo up"}
	case err != nil:
		return nil, &proxy.FaultError{Fault: proxy.Down, Detail: err.Error()}
	}
	if at.ngrok {
		r.Header.Set(skipWarningHeader, "1") // a browser cannot
	}
	return at.base, nil
}

// modifyResponse refuses a tunnel's error page and cleans the silo's own response.
func (p *Proxy) modifyResponse(response *http.Response) error {
	at := urlString(response.Request.URL)
	var tunnel *TunnelError
	if !p.client.options.Direct && errors.As(tunnelError(p.client.name, at, response.StatusCode, response.Header), &tunnel) {
		return tunnel.failure()
	}
	cleanHeader(response.Header, sentry.CleanResponse)
	response.Header.Set(sentry.HeaderProxyURL, at)
	return nil
}

// cleanHeader cleans a header but keeps the upgrade, which proxy has set for the next hop.
func cleanHeader(header http.Header, clean func(http.Header)) {
	upgrade := header.Get("Upgrade")
	clean(header)
	if upgrade != "" {
		header.Set("Connection", "Upgrade")
		header.Set("Upgrade", upgrade)
	}
}

// failure returns the Proxy's answer to a tunnel's error page.
func (e *TunnelError) failure() *proxy.FaultError {
	f := &proxy.FaultError{Fault: proxy.Fault(e.Code), Detail: e.Error(), Hint: "silo status"}
	switch {
	case e.Code == "ERR_NGROK_3200", e.Code == "ERR_NGROK_8012": // the tunnel is offline, or its upstream does not listen
		f.Fault = proxy.Down
	case e.Ngrok(), f.Fault != proxy.Down && f.Fault != proxy.Starting && f.Fault != proxy.Timeout && f.Fault != proxy.Isolated:
		f.Fault = proxy.Broken
	}
	return f
}

// timedBody is a request body whose reads fail when the client pauses too long.
type timedBody struct {
	io.ReadCloser

	timeout time.Duration
	timer   *time.Timer // runs while a Read waits
	expired func()

	mu      sync.Mutex // guards stopped
	stopped bool       // the handler has returned: the connection serves another request
}

func (b *timedBody) Read(p []byte) (int, error) {
	b.timer.Reset(b.timeout)
	defer b.timer.Stop()
	return b.ReadCloser.Read(p)
}

func (b *timedBody) expire() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.stopped {
		b.expired()
	}
}

func (b *timedBody) stop() {
	b.timer.Stop()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stopped = true
}
