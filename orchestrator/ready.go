package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"time"

	"silo/ports"
)

const (
	// firstInterval is the wait between the first probes: a silo that is up is
	// seen to be so within it. Later probes are as rare as ready.interval says.
	firstInterval = 10 * time.Millisecond
	// quickFor is how long the first interval holds.
	quickFor = 5 * time.Second
	// probeTimeout bounds one request. uWSGI listens seconds before the app is
	// loaded and holds requests meanwhile: long enough that one is answered the
	// moment it is, short enough that a lost one does not count.
	probeTimeout = time.Second
	// statusTimeout bounds a probe that somebody waits for.
	statusTimeout = 250 * time.Millisecond
)

// probes is the client for silos' own ports: nothing is shared with tunnels, no
// proxy is asked, no redirect is followed.
func newProber() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DisableKeepAlives:  true, // a probe must meet the process that listens now
			DisableCompression: true,
			DialContext:        (&net.Dialer{Timeout: probeTimeout}).DialContext,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// watch probes a silo until it is ready, then falls silent.
func (s *Supervisor) watch(ctx context.Context, j *job) {
	placed := s.placed(j.name)
	if placed.Ready.Off {
		s.send(probedEvent{name: j.name, incarnation: j.incarnation, ready: true, at: time.Now()})
		return
	}
	ctx, cancel := context.WithTimeout(ctx, placed.Ready.Timeout)
	defer cancel()
	started := time.Now()
	for said := ""; ; {
		finding := s.probe(ctx, j, placed)
		if ctx.Err() != nil {
			break
		}
		if finding.ready || finding.fatal || finding.reason != said {
			said = finding.reason
			s.send(finding)
		}
		if finding.ready || finding.fatal {
			return
		}
		if !pause(ctx, interval(time.Since(started), placed.Ready.Interval, len(s.now().Placed))) {
			break
		}
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		s.send(overdueEvent{j.name, j.incarnation})
	}
}

// interval is the wait after a probe that found nothing. Many silos share the
// machine they start on: together they probe no more often than a few do.
func interval(since, configured time.Duration, silos int) time.Duration {
	if since > quickFor {
		return configured
	}
	return min(configured, max(firstInterval, time.Duration(silos)*time.Millisecond/2))
}

func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// probe asks a silo's own port for its health, makes sure that this very
// process answers, and looks at the mode it answers in.
func (s *Supervisor) probe(ctx context.Context, j *job, placed Placed) probedEvent {
	finding := probedEvent{name: j.name, incarnation: j.incarnation}
	err := s.healthy(ctx, placed)
	finding.at = time.Now()
	if err == nil {
		err = s.answersItself(j, placed)
	}
	if err == nil && placed.Port != placed.HealthPort {
		err = s.answers(ctx, placed)
	}
	if err != nil {
		finding.reason = err.Error()
		return finding
	}
	if mode, conclusive := s.role(ctx, placed); conclusive && mode != string(placed.Mode) {
		finding.fatal = true
		return finding
	}
	finding.ready = true
	return finding
}

func (s *Supervisor) healthy(ctx context.Context, placed Placed) error {
	status, err := s.status(ctx, placed.health(), placed.Ready.Path)
	switch {
	case err != nil:
		return err
	case status != placed.Ready.Status:
		return fmt.Errorf("%s answers %d, not %d", placed.Ready.Path, status, placed.Ready.Status)
	}
	return nil
}

// answers tells whether the port before the backend (webpack's) takes connections.
func (s *Supervisor) answers(ctx context.Context, placed Placed) error {
	conn, err := (&net.Dialer{Timeout: probeTimeout}).DialContext(ctx, "tcp", placed.Bind())
	if err != nil {
		return fmt.Errorf("port %d (webpack's) does not answer", placed.Port)
	}
	return conn.Close()
}

// answersItself refuses an answer from a process that is not of this silo's
// tree: a stale one on the port is never called ready.
func (s *Supervisor) answersItself(j *job, placed Placed) error {
	// Nearly always the leader listens itself: that look is cheap, the tree's is not.
	own := []int{j.process.PID()}
	if len(ports.Holders(placed.HealthPort, own)) > 0 {
		return nil
	}
	holders := ports.Holders(placed.HealthPort, nil)
	if len(holders) == 0 {
		return fmt.Errorf("port %d is answered, but by no process of this silo", placed.HealthPort)
	}
	if slices.ContainsFunc(holders, func(h ports.Holder) bool { return j.process.Owns(h.PID) }) {
		return nil
	}
	return fmt.Errorf("port %d is answered by %s (pid %d), which is not of this silo", placed.HealthPort, holders[0].Program, holders[0].PID)
}

// role asks which mode a healthy silo answers in.
func (s *Supervisor) role(ctx context.Context, placed Placed) (string, bool) {
	dialect := s.now().Choice.Dialect
	probes := dialect.Probes
	got := make([]int, len(probes))
	for i, probe := range probes {
		status, err := s.status(ctx, placed.health(), probe.Path)
		if err != nil {
			return "", false
		}
		got[i] = status
	}
	return dialect.Judge(got)
}

// status is the HTTP status of one GET.
func (s *Supervisor) status(ctx context.Context, addr, path string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+path, http.NoBody)
	if err != nil {
		return 0, err
	}
	request.Header.Set("User-Agent", "silo-probe")
	response, err := s.prober.Do(request)
	if err != nil {
		return 0, unanswered(addr, err)
	}
	defer func() { _ = response.Body.Close() }() // a body that was only drained
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10))
	return response.StatusCode, nil
}

// unanswered says in few words why there was no answer.
func unanswered(addr string, err error) error {
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return fmt.Errorf("%s takes requests but does not answer yet", addr)
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return fmt.Errorf("nothing listens on %s yet", addr)
	}
	return fmt.Errorf("%s hangs up", addr)
}
