package client

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"time"

	"silo/sentry"
)

// defaultTimeout bounds the wait for a response to begin.
const defaultTimeout = 30 * time.Second

// Request is one request to a silo.
type Request struct {
	Method string // empty: GET, or POST with a body
	// Path begins with a slash. It is sent as written, with its query, after the
	// silo's address. A prefix that a release adds to it, such as /api/0 of 22.11, is
	// up to the caller.
	Path   string
	Host   string      // the Host header; empty: that of the address
	Header http.Header // a name without values suppresses a default header
	Body   []byte
	Sign   sentry.Signature
}

// Response is a silo's response. Its body has the bytes that the silo sent; reading it fails with a
// TimeoutError or a HostError. The caller must close it.
type Response struct {
	*http.Response

	URL string // of the response, after all redirects
}

// Do sends one request and returns its response, whatever its status. It removes
// the headers that sentry.CleanRequest removes, follows redirects of GET, and sends
// nothing twice. Errors are a HostError, a TimeoutError, a TunnelError,
// api.ErrNotRunning, or wrap ErrRequest or sentry.ErrUnsigned.
func (c *Client) Do(ctx context.Context, r Request) (*Response, error) {
	at, err := c.findTarget(ctx)
	if err != nil {
		return nil, err
	}
	limit := cmp.Or(c.options.Timeout, defaultTimeout)
	if limit < 0 {
		limit = math.MaxInt64
	}
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(limit, func() { cancel(errTimeout) })
	end := func() { timer.Stop(); cancel(nil) }
	request, err := c.newRequest(ctx, at, r)
	if err != nil {
		end()
		return nil, err
	}
	answer, err := c.http.Do(request)
	if err != nil {
		defer end()
		return nil, classify(ctx, c.name, urlString(request.URL), err)
	}
	if c.options.Timeout <= 0 { // the limit covers only the header
		timer.Stop()
	}
	from := urlString(answer.Request.URL)
	answer.Body = &body{answer.Body, end, func(err error) error { return classify(ctx, c.name, from, err) }}
	if !c.options.Direct {
		if err := tunnelError(c.name, from, answer.StatusCode, answer.Header); err != nil {
			_ = answer.Body.Close() // not needed
			return nil, err
		}
	}
	return &Response{Response: answer, URL: from}, nil
}

// newRequest returns the http.Request to send.
func (c *Client) newRequest(ctx context.Context, at target, r Request) (*http.Request, error) {
	method := http.MethodGet
	if r.Body != nil {
		method = http.MethodPost
	}
	method = strings.ToUpper(cmp.Or(r.Method, method))
	if !strings.HasPrefix(r.Path, "/") || strings.ContainsFunc(r.Path, func(c rune) bool { return c <= ' ' || c == 0x7f || c == '#' }) {
		return nil, fmt.Errorf("path %q: %w", r.Path, ErrRequest)
	}
	var content io.Reader
	if r.Body != nil {
		content = bytes.NewReader(r.Body)
	}
	request, err := http.NewRequestWithContext(ctx, method, at.base.String(), content)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	request.URL, request.Host = at.resolve(r.Path), r.Host
	for name, values := range r.Header {
		if len(values) == 0 {
			request.Header[http.CanonicalHeaderKey(name)] = nil // net/http adds no default
		}
		for _, value := range values {
			if !isToken(name) || strings.ContainsAny(value, "\r\n\x00") {
				return nil, fmt.Errorf("header %q: %w", name, ErrRequest)
			}
			request.Header.Add(name, value)
		}
	}
	sentry.CleanRequest(request.Header)
	if err := c.sign(at, r, request); err != nil {
		return nil, err
	}
	for name, value := range map[string]string{"Accept": "*/*", "User-Agent": cmp.Or(c.options.UserAgent, "silo")} {
		if _, ok := request.Header[name]; !ok {
			request.Header.Set(name, value)
		}
	}
	if at.ngrok {
		request.Header.Set(skipWarningHeader, "1")
	}
	return request, nil
}

// isToken reports whether a header can have that name (RFC 9110, section 5.6.2).
func isToken(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune("\"(),/:;<=>?@[\\]{}", r)
	})
}

func (c *Client) sign(at target, r Request, request *http.Request) error {
	if r.Sign == sentry.Unsigned {
		return nil
	}
	d, err := sentry.DialectNamed(at.snapshot.Dialect)
	if err != nil && !errors.Is(err, sentry.ErrUnsupported) { // it is already running
		return err
	}
	if c.options.Secrets == nil {
		return fmt.Errorf("without secrets the request %w", sentry.ErrUnsigned)
	}
	secrets, err := c.options.Secrets()
	if err != nil {
		return fmt.Errorf("read the instance's secrets: %w", err)
	}
	secret := secrets.RPC
	if r.Sign == sentry.SignSubnet {
		secret = secrets.Subnet
	}
	return d.Sign(r.Sign, secret, r.Path, request.Header, r.Body)
}

// body is a response body. Close ends the request's context, and read errors are
// this package's.
type body struct {
	io.ReadCloser

	end      func()
	classify func(error) error
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = b.classify(err)
	}
	return n, err
}

func (b *body) Close() error {
	err := b.ReadCloser.Close()
	b.end()
	return err
}
