package orchestrator

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"time"

	"silo/ports"
	"silo/sentry"
	"silo/wait"
)

const (
	// firstInterval is the wait between probes of a silo that has just been launched.
	firstInterval = 10 * time.Millisecond
	// probesPerSecond bounds the probes of all starting silos together.
	probesPerSecond = 2000
	// intervalShare is the part of the time since its launch that a silo waits for its
	// next probe: the interval grows with the start.
	intervalShare = 50
	// probeTimeout bounds one request. uWSGI listens seconds before the app is
	// loaded and holds requests meanwhile: long enough that one is answered the
	// moment it is, short enough that a lost one does not count.
	probeTimeout = time.Second
	// statusTimeout bounds a probe that somebody waits for.
	statusTimeout = 250 * time.Millisecond
)

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
	said := silent(placed.health()).Error()
	s.send(probedEvent{name: j.name, incarnation: j.incarnation, reason: said})
	for {
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
		if !wait.Sleep(ctx, interval(time.Since(started), placed.Ready.Interval, len(s.now().Placed))) {
			break
		}
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		s.send(overdueEvent{j.name, j.incarnation})
	}
}

// interval returns the wait between two probes of a silo that has been starting for
// some time: ready.interval at most, and less at first.
func interval(starting, configured time.Duration, silos int) time.Duration {
	return min(configured, max(firstInterval, time.Duration(silos)*time.Second/probesPerSecond, starting/intervalShare))
}

// probe asks a silo's own port for its health, makes sure that this very
// process answers, and looks at the mode it answers in.
func (s *Supervisor) probe(ctx context.Context, j *job, placed Placed) probedEvent {
	finding := probedEvent{name: j.name, incarnation: j.incarnation}
	err := healthy(ctx, placed)
	finding.at = time.Now()
	if err == nil {
		err = s.answersItself(j, placed)
	}
	if err == nil && placed.Port != placed.HealthPort {
		err = answers(ctx, placed)
	}
	if err != nil {
		finding.reason = err.Error()
		return finding
	}
	if mode, other := s.now().otherMode(ctx, placed); other {
		finding.fatal, finding.role = true, mode
		return finding
	}
	finding.ready = true
	return finding
}

func healthy(ctx context.Context, placed Placed) error {
	status, err := statusOf(ctx, probeTimeout, placed.health(), placed.Ready.Path)
	switch {
	case err != nil:
		return err
	case status != placed.Ready.Status:
		return fmt.Errorf("%s answers %d, not %d", placed.Ready.Path, status, placed.Ready.Status)
	}
	return nil
}

// answers tells whether the port before the backend (webpack's) takes connections.
func answers(ctx context.Context, placed Placed) error {
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
	if ports.Listens(placed.HealthPort, j.process.PID()) {
		return nil
	}
	holders := ports.Holders(placed.HealthPort)
	if len(holders) == 0 {
		return fmt.Errorf("port %d is answered, but by no process of this silo", placed.HealthPort)
	}
	if slices.ContainsFunc(holders, func(h ports.Holder) bool { return j.process.Owns(h.PID) }) {
		return nil
	}
	return fmt.Errorf("port %d is answered by %s (pid %d), which is not of this silo", placed.HealthPort, holders[0].Program, holders[0].PID)
}

// role asks which mode a healthy silo answers in. A path that the right mode
// does not have (404) is asked first, and its answer is enough: the other ones
// make a region ask control who the caller is, which fails while control starts
// (Sentry 23.7.1, a 500 with a traceback in the silo's log).
func role(ctx context.Context, dialect sentry.Dialect, placed Placed) (string, bool) {
	got := make([]int, len(dialect.Probes))
	for _, cheap := range []bool{true, false} {
		for i, probe := range dialect.Probes {
			want := probe.Region
			if placed.IsControl() {
				want = probe.Control
			}
			if (want == http.StatusNotFound) != cheap {
				continue
			}
			status, err := statusOf(ctx, probeTimeout, placed.health(), probe.Path)
			if err != nil || cheap && status == want {
				return "", false // nothing speaks for another mode
			}
			got[i] = status
		}
	}
	return dialect.ClassifyMode(got)
}

// statusOf is the HTTP status of one GET on a connection of its own: a probe must
// meet the process that listens now, and follow nothing. A client with a pool
// would cost three goroutines for each of hundreds of silos.
func statusOf(ctx context.Context, within time.Duration, addr, path string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+path, http.NoBody)
	if err != nil {
		return 0, err
	}
	request.Header.Set("User-Agent", "silo-probe")
	request.Close = true
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return 0, unanswered(addr, err)
	}
	defer func() { _ = conn.Close() }() // the answer is read, or nobody wants it
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	if err := request.Write(conn); err != nil {
		return 0, unanswered(addr, err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), request)
	if err != nil {
		return 0, unanswered(addr, err)
	}
	defer func() { _ = response.Body.Close() }() // nobody wants the body
	return response.StatusCode, nil
}

// errSilent is of a port that takes a request and has not answered.
var errSilent = errors.New("takes requests but does not answer yet")

// unanswered says in few words why there was no answer.
func unanswered(addr string, err error) error {
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return fmt.Errorf("%s %w", addr, errSilent)
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return silent(addr)
	}
	return fmt.Errorf("%s hangs up", addr)
}

func silent(addr string) error { return fmt.Errorf("nothing listens on %s yet", addr) }
