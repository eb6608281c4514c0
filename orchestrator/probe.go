package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"time"

	"silo/plan"
	"silo/ports"
	"silo/sentry"
	"silo/state"
	"silo/wait"
)

const (
	// firstInterval is the wait between probes of a silo that has just been launched.
	firstInterval = 10 * time.Millisecond
	// probesPerSecond bounds how many probes all starting silos send together.
	probesPerSecond = 2000
	// intervalShare makes the interval grow: it is at least this fraction of the time since the
	// launch.
	intervalShare = 50
	// probeTimeout bounds one request. uWSGI accepts requests seconds before the app is loaded,
	// and answers them once it is: a probe should wait for that, but a lost one must not delay
	// the next for long. See nextTimeout.
	probeTimeout    = time.Second
	maxProbeTimeout = 8 * time.Second
)

// probeInterval returns the wait before the next probe, given the time since the
// launch: ready.interval, or less at first.
func probeInterval(sinceLaunch, configured time.Duration, silos int) time.Duration {
	return min(configured, max(firstInterval, time.Duration(silos)*time.Second/probesPerSecond, sinceLaunch/intervalShare))
}

// probeUntilReady is one round of probing: it probes a silo until it is ready, has ended,
// or ready.timeout has passed. See probeAction about before.
func (s *Supervisor) probeUntilReady(ctx context.Context, j *job, round int, before *serving) {
	placed, known := s.placement().Find(j.name)
	if !known {
		return // it is being stopped
	}
	ctx, cancel := context.WithTimeout(ctx, placed.Ready.Timeout)
	defer cancel()
	if before == nil || s.loadRewritten(ctx, j, placed, round, before) {
		s.probeRepeatedly(ctx, j, placed, round)
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		s.send(readyTimeoutEvent{j.launchID, round})
	}
}

// probeRepeatedly probes a silo until it is ready or ctx ends.
func (s *Supervisor) probeRepeatedly(ctx context.Context, j *job, placed plan.Placed, round int) {
	if placed.Ready.Off {
		s.send(probedEvent{launchID: j.launchID, round: round, ready: true, at: time.Now()})
		return
	}
	last := probedEvent{launchID: j.launchID, round: round}
	if round == 0 {
		last.reason = errNotListening(placed.HealthAddr()).Error()
		s.send(last)
	}
	timeout := probeTimeout
	for began := time.Now(); ; {
		result, err := s.probe(ctx, j, placed, round == 0, timeout)
		result.round = round
		if ctx.Err() != nil || s.sendIfNew(result, &last) {
			return
		}
		timeout = nextTimeout(timeout, err)
		if !wait.Sleep(ctx, probeInterval(time.Since(began), placed.Ready.Interval, len(s.placement().Placed))) {
			return
		}
	}
}

// nextTimeout returns the timeout of the next probe. It grows while a silo accepts
// requests without answering them: uWSGI keeps those that silo has given up in its queue,
// and logs a warning for each further connection once it is full.
func nextTimeout(last time.Duration, err error) time.Duration {
	if errors.Is(err, errNoAnswer) {
		return min(2*last, maxProbeTimeout)
	}
	return probeTimeout
}

// sendIfNew sends a result if it differs from the last one, and reports whether it is final.
func (s *Supervisor) sendIfNew(result probedEvent, last *probedEvent) (final bool) {
	final = result.ready || result.wrongMode
	if final || result.reason != last.reason {
		s.send(result)
	}
	*last = result
	return final
}

// probe requests a silo's health page. It checks that the silo's own process tree
// answers, unless it is unmanaged, and with checkMode also its mode. It returns the error
// that is the reason of a result that is not ready.
func (s *Supervisor) probe(ctx context.Context, j *job, placed plan.Placed, checkMode bool, timeout time.Duration) (probedEvent, error) {
	err := checkHealth(ctx, placed, timeout)
	result := probedEvent{launchID: j.launchID, at: time.Now()}
	if err == nil && j.process != nil {
		err = checkOwner(j, placed)
	}
	if err == nil {
		err = checkWebpack(ctx, placed)
	}
	if err != nil {
		result.reason = err.Error()
		return result, err
	}
	if checkMode {
		result.role = wrongMode(ctx, s.placement().Choice.Dialect, placed)
	}
	result.wrongMode = result.role != ""
	result.ready = !result.wrongMode
	if result.ready && j.process == nil {
		result.pid = holder(placed.HealthPort)
	}
	return result, nil
}

// checkHealth requests the health page. With ready = false, an open port is enough.
func checkHealth(ctx context.Context, placed plan.Placed, timeout time.Duration) error {
	if placed.Ready.Off {
		return dial(ctx, placed.HealthAddr())
	}
	status, err := getStatus(ctx, timeout, placed.HealthAddr(), placed.Ready.Path)
	switch {
	case err != nil:
		return err
	case status != placed.Ready.Status:
		return fmt.Errorf("%s answers %d, not %d", placed.Ready.Path, status, placed.Ready.Status)
	}
	return nil
}

// checkWebpack checks that webpack, which has the first port if there are watchers,
// accepts connections.
func checkWebpack(ctx context.Context, placed plan.Placed) error {
	if placed.Port == placed.HealthPort || placed.Ready.Off {
		return nil
	}
	if dial(ctx, placed.Bind()) != nil {
		return fmt.Errorf("port %d (webpack's) does not answer", placed.Port)
	}
	return nil
}

// dial checks that something accepts connections on an address.
func dial(ctx context.Context, addr string) error {
	conn, err := (&net.Dialer{Timeout: probeTimeout}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return describeNoAnswer(addr, err)
	}
	return conn.Close()
}

// checkOwner rejects an answer from a process outside the silo's process tree, such as
// one left by an earlier run.
func checkOwner(j *job, placed plan.Placed) error {
	port := placed.HealthPort
	if ports.Listens(port, j.process.PID()) { // the common case, and much cheaper
		return nil
	}
	holders := ports.Holders(port)
	if len(holders) == 0 {
		return fmt.Errorf("port %d is answered by a process that does not belong to this silo", port)
	}
	if slices.ContainsFunc(holders, func(h ports.Holder) bool { return j.process.Owns(h.PID) }) {
		return nil
	}
	return fmt.Errorf("port %d is answered by %s (pid %d), which does not belong to this silo", port, holders[0].Program, holders[0].PID)
}

// wrongMode returns the mode that a healthy silo's answers prove, or "" if they prove
// its own mode or none. It first requests the paths that its own mode does not have,
// and stops at one 404: the others make a region ask control to identify the caller,
// which fails while control starts (Sentry 23.7.1: status 500 and a traceback in the
// log).
func wrongMode(ctx context.Context, dialect sentry.Dialect, placed plan.Placed) string {
	if placed.Mode == state.Monolith {
		return ""
	}
	mode := askMode(ctx, dialect, placed, probeTimeout, true, func(status, want int) bool { return status == want })
	if mode == string(placed.Mode) {
		return ""
	}
	return mode
}

// knownMode returns the mode that a healthy silo's answers prove, for display, or "". It
// first requests the paths that its mode has: programs other than Sentry fail those.
func knownMode(ctx context.Context, dialect sentry.Dialect, placed plan.Placed) string {
	return askMode(ctx, dialect, placed, modeTimeout, false, func(status, want int) bool {
		return status != want && status != http.StatusForbidden
	})
}

// askMode sends the dialect's probes in two groups, those that the silo's own mode
// answers with 404 first or last, and returns the mode that the answers prove, or "".
// Once enough returns true for an answer of the first group, it sends no more.
func askMode(ctx context.Context, dialect sentry.Dialect, placed plan.Placed, timeout time.Duration, missingFirst bool, enough func(status, want int) bool) string {
	got := make([]int, len(dialect.Probes))
	for _, first := range []bool{true, false} {
		for i, probe := range dialect.Probes {
			want := probe.Region
			if placed.IsControl() {
				want = probe.Control
			}
			if missing := want == http.StatusNotFound; (missing == missingFirst) != first {
				continue
			}
			status, err := getStatus(ctx, timeout, placed.HealthAddr(), probe.Path)
			if err != nil || first && enough(status, want) {
				return ""
			}
			got[i] = status
		}
	}
	mode, conclusive := dialect.ClassifyMode(got)
	if !conclusive {
		return ""
	}
	return mode
}

// prober opens a new connection for each request, to reach the process that listens
// now, and follows no redirect.
var prober = http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// getStatus returns the HTTP status of one GET.
func getStatus(ctx context.Context, timeout time.Duration, addr, path string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+path, http.NoBody)
	if err != nil {
		return 0, err
	}
	request.Header.Set("User-Agent", "silo-probe")
	response, err := prober.Do(request)
	if err != nil {
		return 0, describeNoAnswer(addr, err)
	}
	_ = response.Body.Close() // only the status matters
	return response.StatusCode, nil
}

// errNoAnswer is returned for a port that accepts a request but does not answer in
// time.
var errNoAnswer = errors.New("accepts requests but does not answer yet")

// describeNoAnswer explains briefly why there was no answer.
func describeNoAnswer(addr string, err error) error {
	if netErr, ok := errors.AsType[net.Error](err); ok && netErr.Timeout() {
		return fmt.Errorf("%s %w", addr, errNoAnswer)
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return errNotListening(addr)
	}
	return fmt.Errorf("%s closes the connection without an answer", addr)
}

func errNotListening(addr string) error { return fmt.Errorf("nothing listens on %s yet", addr) }
