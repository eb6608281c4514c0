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

	"silo/orchestrator"
	"silo/plan"
	"silo/sentry"
	"silo/state"
)

// Client speaks to the supervisor of one instance.
type Client struct {
	dir  *state.Dir
	http *http.Client
}

// Dial gives the client of a running instance, or ErrNotRunning. A supervisor
// that holds the lock and has not opened its socket yet, or does not answer on it, is
// waited for, bounded at two seconds, or five, and by ctx: then it is ErrDeaf.
func Dial(ctx context.Context, dir *state.Dir) (*Client, error) {
	dialer := &net.Dialer{Timeout: time.Second}
	c := &Client{dir: dir, http: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", dir.Socket)
		},
	}}}
	opening, cancel := context.WithTimeout(ctx, openBound)
	defer cancel()
	for {
		conn, err := dialer.DialContext(opening, "unix", dir.Socket)
		if err == nil {
			_ = conn.Close() // it was only a question
			return c, c.greet(ctx)
		}
		if !dir.Running() {
			return nil, ErrNotRunning
		}
		if !rest(opening, 10*time.Millisecond) {
			return nil, fmt.Errorf("%w: %w", ErrUnresponsive, err)
		}
	}
}

const (
	openBound  = 2 * time.Second
	greetBound = 5 * time.Second // on a machine that is busy, too
)

// greet finds out whether the supervisor answers: the kernel takes connections also
// for one that is stopped.
func (c *Client) greet(ctx context.Context) error {
	bound, cancel := context.WithTimeout(ctx, greetBound)
	defer cancel()
	r, err := http.NewRequestWithContext(bound, http.MethodHead, "http://silo/", http.NoBody)
	if err != nil {
		return err
	}
	response, err := c.http.Do(r)
	if err == nil {
		return response.Body.Close() // whatever it says
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		return ErrHung
	case c.ending(ctx):
		return ErrNotRunning
	}
	return fmt.Errorf("ask the supervisor: %w", err)
}

// Close drops the client's idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Snapshot is the supervisor's latest one. With probe each silo is looked at
// first, which takes up to 250 ms.
func (c *Client) Snapshot(ctx context.Context, probe bool) (*state.Snapshot, error) {
	path := "/v1/snapshot"
	if probe {
		path += "?probe=1"
	}
	var s state.Snapshot
	return &s, c.call(ctx, http.MethodGet, path, nil, &s)
}

// Config is the region config that matches the live tunnels: its text, and the
// same between its marker lines.
func (c *Client) Config(ctx context.Context) (text, marked string, err error) {
	var body configBody
	err = c.call(ctx, http.MethodGet, "/v1/config", nil, &body)
	return body.Text, body.Marked, err
}

// Tail are the last n lines of a silo's present or last process.
func (c *Client) Tail(ctx context.Context, silo string, n int) ([]string, error) {
	var body tailBody
	err := c.call(ctx, http.MethodGet, "/v1/tail?n="+strconv.Itoa(n)+"&silo="+url.QueryEscape(silo), nil, &body)
	return body.Lines, err
}

// Up hands the topology's file to the supervisor: what has changed is applied,
// and the named silos, or all, are started. It returns once that is taken.
func (c *Client) Up(ctx context.Context, monolith bool, silos ...string) (plan.Changes, error) {
	var changes plan.Changes
	err := c.call(ctx, http.MethodPost, "/v1/up", request{Silos: silos, Monolith: monolith}, &changes)
	return changes, err
}

// Foresee tells what Up would change, and has nothing changed.
func (c *Client) PreviewUp(ctx context.Context, monolith bool, silos ...string) (plan.Changes, error) {
	var changes plan.Changes
	err := c.call(ctx, http.MethodPost, "/v1/up", request{Silos: silos, Monolith: monolith, Dry: true}, &changes)
	return changes, err
}

// Start asks for silos to run; no name means all. It returns once that is taken.
func (c *Client) Start(ctx context.Context, silos ...string) error {
	return c.post(ctx, "start", silos)
}

// Stop asks for silos to rest.
func (c *Client) Stop(ctx context.Context, silos ...string) error { return c.post(ctx, "stop", silos) }

// Restart asks for silos to be stopped and started again.
func (c *Client) Restart(ctx context.Context, silos ...string) error {
	return c.post(ctx, "restart", silos)
}

// Down asks for the instance's end, with kill at once and without grace.
func (c *Client) Down(ctx context.Context, kill bool) error {
	return c.call(ctx, http.MethodPost, "/v1/down", request{Kill: kill}, nil)
}

func (c *Client) post(ctx context.Context, verb string, silos []string) error {
	return c.call(ctx, http.MethodPost, "/v1/"+verb, request{Silos: silos}, nil)
}

// Watch hands over an Update at once and after each change, until see returns
// false (nil), ctx ends, or the instance has ended (ErrNotRunning).
func (c *Client) Watch(ctx context.Context, see func(Update) bool) error {
	return watch(ctx, c, "/v1/watch", see)
}

// watch reads a stream of JSON values, until see returns false.
func watch[T any](ctx context.Context, c *Client, path string, see func(T) bool) error {
	response, err := c.do(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }() // a stream that is left
	stream := json.NewDecoder(response.Body)
	for {
		var value T
		if err := stream.Decode(&value); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return ErrNotRunning // the stream ends with the supervisor, however that ends
		}
		if !see(value) {
			return nil
		}
	}
}

func (c *Client) call(ctx context.Context, method, path string, body, into any) error {
	response, err := c.do(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }() // already read
	if into == nil {
		return nil
	}
	if err := json.NewDecoder(response.Body).Decode(into); err != nil {
		return fmt.Errorf("read the supervisor's answer: %w", err)
	}
	return nil
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
	// The host is only a name: the transport always dials the socket.
	r, err := http.NewRequestWithContext(ctx, method, "http://silo"+path, content)
	if err != nil {
		return nil, err
	}
	response, err := c.http.Do(r)
	if err != nil {
		if c.ending(ctx) {
			return nil, ErrNotRunning
		}
		return nil, fmt.Errorf("ask the supervisor: %w", err)
	}
	if response.StatusCode >= http.StatusBadRequest {
		defer func() { _ = response.Body.Close() }() // read below
		return nil, refused(response)
	}
	return response, nil
}

// ending tells whether the supervisor has ended since Dial. A process that is
// killed closes its socket a moment before it lets its lock go; on a machine whose
// processors are all taken that is some tenths of a second.
func (c *Client) ending(ctx context.Context) bool {
	for range 200 {
		if !c.dir.Running() {
			return true
		}
		if !rest(ctx, 10*time.Millisecond) {
			return false
		}
	}
	return false
}

// refused is the server's refusal as the error that the server met.
func refused(response *http.Response) error {
	var r refusal
	if err := json.NewDecoder(response.Body).Decode(&r); err != nil {
		return fmt.Errorf("the supervisor answers %s: is it another version of silo?", response.Status)
	}
	if r.Silo != "" {
		return &plan.UnknownSiloError{Name: r.Silo, Known: r.Known}
	}
	if r.NotKept {
		return &toldError{r.Error, orchestrator.ErrNotKept}
	}
	if r.Missing {
		return &toldError{r.Error, sentry.ErrMissing}
	}
	if r.Markers {
		return &toldError{r.Error, sentry.ErrMarkers}
	}
	if r.Why != "" {
		return &orchestrator.UnrepeatableError{ID: r.Request, Why: r.Why}
	}
	if len(r.Unmanaged) > 0 {
		return &orchestrator.UnmanagedError{Names: r.Unmanaged}
	}
	if len(r.Conflicts) > 0 {
		return r.Conflicts
	}
	if len(r.Whole) > 0 {
		return &plan.ImmutableError{Settings: r.Whole}
	}
	return errors.New(r.Error)
}
