package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"time"

	"silo/sentry"
	"silo/state"
)

// trip is one way to one silo, as it is taken.
type trip struct {
	silo     state.Silo
	snapshot *state.Snapshot
	options  CheckOptions
	way      *Way
	client   *Client
	expect   HealthCheck
}

// take takes all steps up to the first that fails, and notes them in t.way.
func (t *trip) take(ctx context.Context) {
	began := time.Now()
	defer func() { t.way.Seconds = time.Since(began).Seconds() }()
	if t.options.HealthCheck != nil {
		t.expect = t.options.HealthCheck(t.silo.Name)
	}
	if t.way.Via == Direct && t.snapshot.IsManaged() && t.silo.PID == nil {
		// Its port may be held by a listener of the supervisor's, which never answers.
		t.way.URL = "http://" + t.silo.Bind
		t.fail(Connect, began, fmt.Errorf("%s is %s", t.silo.Name, t.silo.State))
		return
	}
	var err error
	t.client, err = New(ctx, t.silo.Name, Options{
		Snapshot: still(t.snapshot), Direct: t.way.Via == Direct, Timeout: t.options.Timeout, UserAgent: t.options.UserAgent,
	})
	if err != nil {
		t.fail(HTTP, began, err)
		return
	}
	if t.health(ctx) && t.mode(ctx) {
		t.way.Hint = ""
	}
}

// done notes a step that went well.
func (t *trip) done(step string, took time.Duration) {
	t.way.Steps = append(t.way.Steps, Step{step, true, took.Seconds()})
}

// fail notes the step at which the way ends.
func (t *trip) fail(step string, since time.Time, err error) {
	t.way.Steps = append(t.way.Steps, Step{step, false, time.Since(since).Seconds()})
	t.way.Error, t.way.Hint = t.words(step, err)
}

// get makes one request, and returns the answer's status once its body has ended.
func (t *trip) get(ctx context.Context, path string) (status int, err error) {
	r := Request{Path: path, Header: http.Header{}}
	if t.way.Via == Address {
		r.Header = t.expect.Header.Clone()
	}
	answer, err := t.client.Do(ctx, r)
	if err != nil {
		return 0, err
	}
	defer func() { _ = answer.Body.Close() }() // read
	_, err = io.Copy(io.Discard, io.LimitReader(answer.Body, largest))
	return answer.StatusCode, err
}

// largest is how much of an answer is read, in bytes: what is longer tells no more.
const largest = 1 << 20

// health takes the steps up to the first answer.
func (t *trip) health(ctx context.Context) bool {
	path := cmp.Or(t.expect.Path, "/_health/")
	if strings.Contains(path, "?") {
		path += "&"
	} else {
		path += "?"
	}
	t.way.URL = t.base()
	marks := &milestones{began: time.Now()}
	status, err := t.get(httptrace.WithClientTrace(ctx, marks.trace()), path+"silo-check="+t.way.mark)
	steps, since := marks.steps(err)
	t.way.Steps = append(t.way.Steps, steps...)
	want := cmp.Or(t.expect.Status, http.StatusOK)
	switch instead := new(TunnelError); {
	case err != nil && (len(steps) == 0 || steps[len(steps)-1].OK):
		if errors.As(err, &instead) {
			t.way.Status = &instead.Status
		}
		t.fail(HTTP, since, err)
	case err != nil:
		t.way.Error, t.way.Hint = t.words(steps[len(steps)-1].Name, err)
	case status != want && !t.expect.Any:
		t.way.Status = &status
		t.fail(HTTP, since, &statusError{cmp.Or(t.expect.Path, "/_health/"), status, want})
	default:
		t.way.Status = &status
		t.done(HTTP, time.Since(since))
		return true
	}
	return false
}

// base is where the way leads.
func (t *trip) base() string {
	if t.way.Via == Address {
		return t.silo.URL
	}
	at := url.URL{Scheme: "http", Host: t.silo.Bind}
	if t.silo.HealthPort != t.silo.Port {
		at.Host = fmt.Sprintf("%s:%d", at.Hostname(), t.silo.HealthPort)
	}
	return at.String()
}

// mode asks what tells a control silo from a region.
func (t *trip) mode(ctx context.Context) bool {
	dialect, err := sentry.DialectNamed(t.snapshot.Dialect)
	if err != nil && !errors.Is(err, sentry.ErrUnsupported) { // of another silo's making
		return true
	}
	began := time.Now()
	got := make([]int, len(dialect.Probes))
	for i, probe := range dialect.Probes {
		if got[i], err = t.get(ctx, probe.Path); err != nil {
			t.fail(Mode, began, err)
			return false
		}
	}
	mode, conclusive := dialect.ClassifyMode(got)
	if mode != "" && (conclusive || t.silo.Mode == state.Monolith) {
		t.way.Mode = &mode
	}
	if conclusive && mode != string(t.silo.Mode) {
		t.fail(Mode, began, &modeError{mode})
		return false
	}
	t.done(Mode, time.Since(began))
	return true
}
