package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"
	"time"

	"silo/sentry"
	"silo/state"
)

// probe checks one way to one silo.
type probe struct {
	silo     state.Silo
	snapshot *state.Snapshot
	options  CheckOptions
	way      *Way
	client   *Client
	health   HealthCheck
}

// run performs the steps until one fails, and records them in p.way.
func (p *probe) run(ctx context.Context) {
	began := time.Now()
	defer func() { p.way.Seconds = time.Since(began).Seconds() }()
	p.way.URL = p.silo.URL
	if p.way.Via == Direct {
		p.way.URL = "http://" + p.silo.Bind
		if host, _, err := net.SplitHostPort(p.silo.Bind); err == nil && p.silo.HealthPort != 0 {
			p.way.URL = "http://" + net.JoinHostPort(host, strconv.Itoa(p.silo.HealthPort))
		}
	}
	if p.options.HealthCheck != nil {
		p.health = p.options.HealthCheck(p.silo.Name)
	}
	if p.way.Via == Direct && p.snapshot.Manages(p.silo) && p.silo.PID == nil {
		// The supervisor may still hold the port with a listener that never answers.
		p.fail(Connect, began, fmt.Errorf("%s is %s", p.silo.Name, p.silo.State))
		return
	}
	var err error
	p.client, err = New(ctx, p.silo.Name, Options{
		Snapshot: func(context.Context) (*state.Snapshot, error) { return p.snapshot, nil },
		Direct:   p.way.Via == Direct, Timeout: p.options.Timeout, UserAgent: p.options.UserAgent,
	})
	if err != nil {
		p.fail(HTTP, began, err)
		return
	}
	if p.checkHealth(ctx) {
		p.checkMode(ctx)
	}
}

// fail records the failed step, which is the last.
func (p *probe) fail(step string, since time.Time, err error) {
	p.way.addStep(step, false, since)
	p.setError(step, err)
}

func (p *probe) setError(step string, err error) {
	p.way.Error, p.way.Hint = describe(err), p.hint(step, err)
}

// maxRead is how much of a response or a log is read, in bytes.
const maxRead = 1 << 20

// get makes one request and returns the status once the body has ended.
func (p *probe) get(ctx context.Context, path string) (status int, err error) {
	r := Request{Path: path}
	if p.way.Via == Address {
		r.Header = p.health.Header
	}
	answer, err := p.client.Do(ctx, r)
	if err != nil {
		return 0, err
	}
	defer func() { _ = answer.Body.Close() }() // already read
	_, err = io.Copy(io.Discard, io.LimitReader(answer.Body, maxRead))
	return answer.StatusCode, err
}

// checkHealth performs the steps up to HTTP and reports whether all succeeded.
func (p *probe) checkHealth(ctx context.Context) bool {
	path := cmp.Or(p.health.Path, "/_health/")
	separator := "?"
	if strings.Contains(path, "?") {
		separator = "&"
	}
	t := &tracer{began: time.Now()}
	status, err := p.get(httptrace.WithClientTrace(ctx, t.clientTrace()), path+separator+"silo-check="+p.way.mark)
	steps, since := t.steps(err != nil)
	p.way.Steps = append(p.way.Steps, steps...)
	if err != nil {
		if n := len(steps); n > 0 && !steps[n-1].OK {
			p.setError(steps[n-1].Name, err)
			return false
		}
		if e, ok := errors.AsType[*TunnelError](err); ok {
			p.way.Status = &e.Status
		}
		p.fail(HTTP, since, err)
		return false
	}
	p.way.Status = &status
	if want := cmp.Or(p.health.Status, http.StatusOK); status != want && !p.health.Any {
		p.fail(HTTP, since, &statusError{path, status, want})
		return false
	}
	p.way.addStep(HTTP, true, since)
	return true
}

// checkMode sends the requests that distinguish a control silo from a region.
func (p *probe) checkMode(ctx context.Context) {
	dialect, err := sentry.DialectNamed(p.snapshot.Dialect)
	if err != nil && !errors.Is(err, sentry.ErrUnsupported) { // a dialect of another version of silo
		return
	}
	began := time.Now()
	statuses := make([]int, len(dialect.Probes))
	for i, request := range dialect.Probes {
		if statuses[i], err = p.get(ctx, request.Path); err != nil {
			p.fail(Mode, began, err)
			return
		}
	}
	mode, conclusive := dialect.ClassifyMode(statuses)
	if mode != "" && (conclusive || p.silo.Mode == state.Monolith) {
		p.way.Mode = &mode
	}
	if conclusive && mode != string(p.silo.Mode) {
		p.fail(Mode, began, &modeError{mode})
		return
	}
	p.way.addStep(Mode, true, began)
}
