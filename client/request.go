package client

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"silo/sentry"
)

// firstWord is how long an answer may take to begin where nothing else is said.
const firstWord = 30 * time.Second

// ErrRequest is wrapped by the error about a request that cannot be sent at all.
var ErrRequest = errors.New("not a request")

// Request is one request to a silo.
type Request struct {
	Method string // empty: GET, or POST where there is a body
	// Path begins with a slash. It is sent as it is written, with its query, and
	// stands behind the silo's address alone: what of /api/0 a release adds to it
	// by itself (22.11) is the caller's to write.
	Path   string
	Host   string      // the Host header, where it is not to be that of the address
	Header http.Header // one without values is not sent where it is otherwise
	Body   []byte
	Sign   sentry.Signature
}

// Response is a silo's answer. Its body comes as the silo sends it, byte for
// byte; reading it fails with a TimeoutError or a HostError. The caller closes it.
type Response struct {
	*http.Response

	URL string // where the answer came from, behind all redirects
}

// Do sends one request and returns its answer, whatever status that has. Header
// is sent less what sentry.CleanRequest takes out. Redirects of GET are followed,
// nothing is ever sent twice. Errors are a HostError, a TimeoutError, a
// TunnelError, control.ErrNotRunning, or wrap ErrRequest or sentry.ErrUnsigned.
func (c *Client) Do(ctx context.Context, r Request) (*Response, error) {
	at, err := c.findTarget(ctx)
	if err != nil {
		return nil, err
	}
	ctx, watch := c.watch(ctx)
	sent, err := c.prepare(ctx, at, r)
	if err != nil {
		watch.end()
		return nil, err
	}
	answer, err := c.http.Do(sent)
	if err != nil {
		defer watch.end()
		return nil, classify(ctx, c.name, urlString(sent.URL), err)
	}
	watch.begun()
	whence := urlString(answer.Request.URL)
	answer.Body = &body{ReadCloser: answer.Body, watch: watch, kind: func(err error) error { return classify(ctx, c.name, whence, err) }}
	if !c.options.Direct {
		if err := tunnelError(c.name, whence, answer.StatusCode, answer.Header); err != nil {
			_ = answer.Body.Close() // nobody wants it
			return nil, err
		}
	}
	return &Response{Response: answer, URL: whence}, nil
}

// prepare makes the request that is sent.
func (c *Client) prepare(ctx context.Context, at target, r Request) (*http.Request, error) {
	method := strings.ToUpper(r.Method)
	if method == "" {
		method = http.MethodGet
		if r.Body != nil {
			method = http.MethodPost
		}
	}
	if !strings.HasPrefix(r.Path, "/") || strings.ContainsFunc(r.Path, func(c rune) bool { return c <= ' ' || c == 0x7f || c == '#' }) {
		return nil, fmt.Errorf("path %q: %w", r.Path, ErrRequest)
	}
	var content io.Reader
	if r.Body != nil {
		content = bytes.NewReader(r.Body)
	}
	sent, err := http.NewRequestWithContext(ctx, method, at.base.String(), content)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	sent.URL, sent.Host = at.resolve(r.Path), r.Host
	for name, values := range r.Header {
		if len(values) == 0 {
			sent.Header[http.CanonicalHeaderKey(name)] = nil // not even by default
		}
		for _, value := range values {
			if !token(name) || strings.ContainsAny(value, "\r\n\x00") {
				return nil, fmt.Errorf("header %q: %w", name, ErrRequest)
			}
			sent.Header.Add(name, value)
		}
	}
	sentry.CleanRequest(sent.Header)
	if err := c.sign(at, r, sent); err != nil {
		return nil, err
	}
	for name, value := range map[string]string{"Accept": "*/*", "User-Agent": cmp.Or(c.options.UserAgent, "silo")} {
		if _, given := sent.Header[name]; !given {
			sent.Header.Set(name, value)
		}
	}
	if at.ngrok {
		sent.Header.Set(skipWarningHeader, "1")
	}
	return sent, nil
}

// token tells whether a header can have that name (RFC 9110, section 5.6.2).
func token(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune("\"(),/:;<=>?@[\\]{}", r)
	})
}

func (c *Client) sign(at target, r Request, sent *http.Request) error {
	if r.Sign == sentry.Unsigned {
		return nil
	}
	d, err := dialect(at.snapshot)
	if err != nil {
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
	return d.Sign(r.Sign, secret, r.Path, sent.Header, r.Body)
}

// Request makes a synchronous request, as Sentry's silo clients do: in, unless it
// is nil, is sent as JSON, and the JSON that comes back is stored in what out
// points to, unless out is nil. An empty answer stores nothing. Errors are Do's,
// and a StatusError for a status of 400 or more.
func (c *Client) Request(ctx context.Context, method, path string, in, out any) error {
	r := Request{Method: method, Path: path, Header: http.Header{}}
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("encode a request to %s: %w", c.name, err)
		}
		r.Body = data
		r.Header.Set("Content-Type", "application/json")
	}
	answer, err := c.Do(ctx, r)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }() // read as far as it matters
	if answer.StatusCode >= http.StatusBadRequest {
		said, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
		if err != nil {
			return err
		}
		return &StatusError{c.name, answer.URL, answer.StatusCode, answer.Header, said}
	}
	said, err := io.ReadAll(answer.Body)
	if err != nil || out == nil || len(said) == 0 {
		return err
	}
	if err := json.Unmarshal(said, out); err != nil {
		return fmt.Errorf("read the answer of %s at %s: %w", c.name, answer.URL, err)
	}
	return nil
}

// watch ends a request whose time is up.
type watch struct {
	timer *time.Timer // nil: it has no limit
	whole bool        // the limit is that of the body, too
	stop  context.CancelFunc
}

func (c *Client) watch(ctx context.Context) (context.Context, *watch) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &watch{whole: c.options.Timeout > 0, stop: func() { cancel(nil) }}
	if c.options.Timeout >= 0 {
		w.timer = time.AfterFunc(cmp.Or(c.options.Timeout, firstWord), func() { cancel(errLate) })
	}
	return ctx, w
}

// begun says that the answer's header is there.
func (w *watch) begun() {
	if w.timer != nil && !w.whole {
		w.timer.Stop()
	}
}

func (w *watch) end() {
	if w.timer != nil {
		w.timer.Stop()
	}
	w.stop()
}

// body is an answer's, which ends its watch and fails with this package's errors.
type body struct {
	io.ReadCloser

	watch *watch
	kind  func(error) error
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = b.kind(err)
	}
	return n, err
}

func (b *body) Close() error {
	err := b.ReadCloser.Close()
	b.watch.end()
	return err
}
