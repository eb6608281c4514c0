package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"silo/plan"
	"silo/state"
	"silo/wait"
)

const (
	openTimeout   = 2 * time.Second
	answerTimeout = 5 * time.Second // allows for a busy machine
	// retryInterval is the pause between attempts to connect, or checks of the lock.
	retryInterval = 10 * time.Millisecond
)

// Client is a client of the supervisor of one instance.
type Client struct {
	dir  *state.Dir
	http *http.Client
}

// Dial returns a client of a running instance, or ErrNotRunning. If a supervisor
// holds the lock but its socket is not open yet, Dial waits up to two seconds, and
// then up to five for a first response, both bounded by ctx. After that it returns
// an ErrUnresponsive.
func Dial(ctx context.Context, dir *state.Dir) (*Client, error) {
	dialer := &net.Dialer{Timeout: time.Second}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return dialer.DialContext(ctx, "unix", dir.Socket)
	}
	opening, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	for {
		conn, err := dial(opening, "", "")
		if err == nil {
			_ = conn.Close() // only a probe
			c := &Client{dir: dir, http: &http.Client{Transport: &http.Transport{DialContext: dial}}}
			// The kernel accepts connections even for a stopped process.
			_, err = call[struct{}](ctx, c, http.MethodGet, "/v1/snapshot", nil)
			return c, err
		}
		if !dir.Running() {
			return nil, ErrNotRunning
		}
		if !wait.Sleep(opening, retryInterval) {
			return nil, fmt.Errorf("%w: cannot connect to %s", ErrUnresponsive, dir.Socket)
		}
	}
}

// Close closes the client's idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Snapshot returns the supervisor's latest snapshot. With probe each silo is probed
// first, which takes up to 250 ms.
func (c *Client) Snapshot(ctx context.Context, probe bool) (*state.Snapshot, error) {
	path := "/v1/snapshot"
	if probe {
		path += "?probe=1"
	}
	return call[*state.Snapshot](ctx, c, http.MethodGet, path, nil)
}

// Config returns the region config that matches the live tunnels, without and
// with its marker lines.
func (c *Client) Config(ctx context.Context) (text, marked string, err error) {
	body, err := call[configBody](ctx, c, http.MethodGet, "/v1/config", nil)
	return body.Text, body.Marked, err
}

// WriteConfig makes the supervisor write the region config again. Silos that reload it
// are unready from then on.
func (c *Client) WriteConfig(ctx context.Context) (Written, error) {
	return call[Written](ctx, c, http.MethodPost, "/v1/config", nil)
}

// Tail returns the last n lines of a silo's current or last process.
func (c *Client) Tail(ctx context.Context, silo string, n int) ([]string, error) {
	body, err := call[tailBody](ctx, c, http.MethodGet, "/v1/tail?n="+strconv.Itoa(n)+"&silo="+url.QueryEscape(silo), nil)
	return body.Lines, err
}

// Up makes the supervisor read the topology again, apply the changes and start the named silos, or
// all. It returns once the request is accepted.
func (c *Client) Up(ctx context.Context, monolith bool, silos ...string) (plan.Changes, error) {
	return call[plan.Changes](ctx, c, http.MethodPost, "/v1/up", commandBody{Silos: silos, Monolith: monolith})
}

// PreviewUp returns what Up would change, and changes nothing.
func (c *Client) PreviewUp(ctx context.Context, monolith bool, silos ...string) (plan.Changes, error) {
	return call[plan.Changes](ctx, c, http.MethodPost, "/v1/up", commandBody{Silos: silos, Monolith: monolith, Dry: true})
}

// Start starts silos, or all. It returns once the request is accepted.
func (c *Client) Start(ctx context.Context, silos ...string) error {
	return c.command(ctx, "/v1/start", commandBody{Silos: silos})
}

// Stop stops silos, or all. It returns once the request is accepted.
func (c *Client) Stop(ctx context.Context, silos ...string) error {
	return c.command(ctx, "/v1/stop", commandBody{Silos: silos})
}

// Restart restarts silos, or all. It returns once the request is accepted.
func (c *Client) Restart(ctx context.Context, silos ...string) error {
	return c.command(ctx, "/v1/restart", commandBody{Silos: silos})
}

// Down stops the instance; with kill it kills the silos immediately. It returns once the
// request is accepted.
func (c *Client) Down(ctx context.Context, kill bool) error {
	return c.command(ctx, "/v1/down", commandBody{Kill: kill})
}

// Watch calls see with an Update now and after each change, until see returns false (nil), ctx
// ends, or the instance has ended (ErrNotRunning).
func (c *Client) Watch(ctx context.Context, see func(Update) bool) error {
	return watch(ctx, c, "/v1/watch", see)
}

// watch reads a stream of JSON values until see returns false.
func watch[T any](ctx context.Context, c *Client, path string, see func(T) bool) error {
	response, err := c.do(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }() // the stream may continue
	lines := json.NewDecoder(response.Body)
	for {
		var value T
		if err := lines.Decode(&value); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return ErrNotRunning // the stream ends with the supervisor
		}
		if !see(value) {
			return nil
		}
	}
}

// command requests an action, and returns once it is accepted.
func (c *Client) command(ctx context.Context, path string, body commandBody) error {
	_, err := call[struct{}](ctx, c, http.MethodPost, path, body)
	return err
}

// call makes one request and decodes the response. A GET queries the current state: it
// fails with ErrHung if the response has not ended in time.
func call[T any](ctx context.Context, c *Client, method, path string, body any) (value T, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(answerTimeout, func() { cancel(ErrHung) })
	defer timer.Stop()
	if method != http.MethodGet {
		timer.Stop()
	}
	response, err := c.do(ctx, method, path, body)
	if err != nil {
		return value, err
	}
	defer func() { _ = response.Body.Close() }() // already read
	if err := json.NewDecoder(response.Body).Decode(&value); err != nil {
		return value, c.requestError(ctx, errOtherVersion)
	}
	return value, nil
}

func (c *Client) do(ctx context.Context, method, path string, body any) (*http.Response, error) {
	var content io.Reader = http.NoBody
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(data)
	}
	// The host is a placeholder: the transport always dials the socket.
	r, err := http.NewRequestWithContext(ctx, method, "http://silo"+path, content)
	if err != nil {
		return nil, err
	}
	response, err := c.http.Do(r)
	if err != nil {
		return nil, c.requestError(ctx, ErrUnresponsive)
	}
	if response.StatusCode >= http.StatusBadRequest {
		defer func() { _ = response.Body.Close() }() // read below
		return nil, decodeError(response)
	}
	return response, nil
}

// requestError returns why a request failed: ErrHung, the error of ctx, ErrNotRunning, or
// else err.
func (c *Client) requestError(ctx context.Context, err error) error {
	switch {
	case errors.Is(context.Cause(ctx), ErrHung):
		return ErrHung
	case ctx.Err() != nil:
		return ctx.Err()
	case c.hasEnded(ctx):
		return ErrNotRunning
	}
	return err
}

// hasEnded reports whether the supervisor has ended since Dial. A killed process closes its socket
// shortly before it releases its lock, a few tenths of a second on a busy machine.
func (c *Client) hasEnded(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	for c.dir.Running() {
		if !wait.Sleep(ctx, retryInterval) {
			return false
		}
	}
	return true
}
