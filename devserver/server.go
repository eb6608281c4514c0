package devserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

// server is one silo's process.
type server struct {
	who     identity
	env     func(string) (string, bool)
	given   arguments
	journal *journal
	conf    reloader
	page    page
	client  *http.Client

	started time.Time
	bind    address       // the address that was asked for, with the real port
	backend int           // the port that the app answers on
	loaded  chan struct{} // closed once the app answers
	failed  chan error    // what ends the process from within; room for one
}

// callTimeout is how long Sentry's silo client waits (BaseApiClient.timeout in
// sentry/shared_integrations/client/base.py).
const callTimeout = 30 * time.Second

func newServer(o Options, given arguments, who identity) *server {
	return &server{
		who: who, env: o.Env, given: given, journal: newJournal(o, given),
		client: &http.Client{
			Timeout: callTimeout,
			// No connection outlives its call: a silo with no request is idle.
			Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		started: time.Now(),
		loaded:  make(chan struct{}),
		failed:  make(chan error, 1),
	}
}

// serve listens, answers and ends.
func (s *server) serve(ctx context.Context, where address) error {
	hangup, release := takeSignals(s.given.ignore)
	defer release()
	listeners, err := s.listen(ctx, where)
	if err != nil {
		return err
	}
	// Requests that wait or stream end with the process, whatever ends it.
	answering, stop := context.WithCancel(ctx)
	defer stop()
	var servers []*http.Server
	var running sync.WaitGroup
	for i, listener := range listeners {
		h := &http.Server{
			Handler:           s.handler(i == 0 && s.given.watchers),
			BaseContext:       func(net.Listener) context.Context { return answering },
			ReadHeaderTimeout: time.Minute,
			ErrorLog:          log.New(io.Discard, "", 0), // uWSGI keeps silent, too
		}
		servers = append(servers, h)
		running.Go(func() {
			if err := h.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
				s.fail(refuse("serve on %s: %s", listener.Addr(), err))
			}
		})
	}
	s.announce()
	err = s.attend(ctx, hangup)
	stop()
	s.journal.uwsgi("SIGINT/SIGTERM received...killing workers...")
	closeAll(context.WithoutCancel(ctx), servers)
	running.Wait()
	s.journal.uwsgi("goodbye to uWSGI.")
	return err
}

// listen takes the port, and with watchers the next one for the backend.
func (s *server) listen(ctx context.Context, where address) ([]net.Listener, error) {
	first, err := listen(ctx, where)
	if err != nil {
		return nil, err
	}
	s.bind = address{where.host, portOf(first)}
	s.backend = s.bind.port
	if !s.given.watchers {
		return []net.Listener{first}, nil
	}
	s.backend++
	second, err := listen(ctx, address{where.host, s.backend})
	if err != nil {
		_ = first.Close() // the refusal is what counts
		return nil, err
	}
	return []net.Listener{first, second}, nil
}

// listen binds IPv4 only, as uWSGI does for localhost.
func listen(ctx context.Context, where address) (net.Listener, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp4", where.String())
	if err == nil {
		return listener, nil
	}
	reason := err
	if call, isCall := errors.AsType[*os.SyscallError](err); isCall {
		reason = call.Err
	}
	return nil, refuse("probably another instance of uWSGI is running on the same address (%s).\nbind(): %s [core/socket.c line 769]", where, capital(reason.Error()))
}

// capital writes an error number as the C library does, for whom it reads it.
func capital(s string) string {
	if s != "" && s[0] >= 'a' && s[0] <= 'z' {
		return string(s[0]-'a'+'A') + s[1:]
	}
	return s
}

func portOf(l net.Listener) int {
	if tcp, isTCP := l.Addr().(*net.TCPAddr); isTCP {
		return tcp.Port
	}
	return 0
}

// announce writes what is worth reading of a start's lines.
func (s *server) announce() {
	pid := os.Getpid()
	if s.given.daemons() {
		s.journal.daemon(nameSystem, "%s started (pid=%d)", nameServer, pid)
	}
	s.journal.uwsgi("*** Starting the stand-in of a Sentry devserver (no Sentry, no uWSGI) on [%s] ***", s.started.Format(time.ANSIC))
	if !s.given.watchers {
		s.journal.uwsgi("uWSGI http bound on %s fd 4", s.bind)
	} else {
		s.journal.uwsgi("uwsgi socket 0 bound to TCP address %s fd 3", address{s.bind.host, s.backend})
		s.journal.daemon(nameSystem, "%s started (pid=%d)", nameWebpack, pid)
		s.journal.daemon(nameWebpack, "webpack-dev-server: Loopback: http://%s/", s.bind)
	}
	if s.given.workers {
		s.journal.daemon(nameSystem, "%s started (pid=%d)", nameWorker, pid)
		s.journal.daemon(nameWorker, "celery@%s ready.", s.who.name)
		s.journal.daemon(nameSystem, "%s started (pid=%d)", nameCron, pid)
		s.journal.daemon(nameCron, "beat: Starting...")
	}
	s.journal.uwsgi("spawned uWSGI worker 1 (pid: %d, cores: 2)", pid)
}

// ready opens the gate at which requests wait.
func (s *server) ready() {
	close(s.loaded)
	s.journal.ready(time.Since(s.started))
}

// attend waits for whatever happens to the process, until its end. It owns no
// timer that no argument asked for.
func (s *server) attend(ctx context.Context, hangup <-chan os.Signal) error {
	var load, exit, tick <-chan time.Time
	if s.given.delay > 0 {
		load = time.After(s.given.delay)
	} else {
		s.ready()
	}
	if s.given.exitAfter > 0 {
		exit = time.After(s.given.exitAfter - time.Since(s.started))
	}
	if s.given.logEvery > 0 {
		ticker := time.NewTicker(s.given.logEvery)
		defer ticker.Stop()
		tick = ticker.C
	}
	for n := 1; ; {
		select {
		case <-ctx.Done():
			return nil
		case err := <-s.failed:
			return err
		case <-exit:
			if s.given.exitCode == 0 {
				return nil
			}
			return &ExitError{Code: s.given.exitCode, Text: fmt.Sprintf("ended by --exit-after %s with %d", s.given.exitAfter, s.given.exitCode)}
		case <-load:
			s.ready()
		case <-hangup:
			if err := s.reload(); err != nil {
				return err
			}
		case <-tick:
			s.journal.say("%s [INFO] %s: line %d", time.Now().Format("15:04:05"), s.who.name, n)
			n++
		}
	}
}

// fail ends the process from within. Only the first failure counts.
func (s *server) fail(err error) {
	select {
	case s.failed <- err:
	default:
	}
}

// lastWords bounds how long answers that are being written hold up an end.
const lastWords = 100 * time.Millisecond

// closeAll ends idle connections at once and the others after lastWords.
func closeAll(ctx context.Context, servers []*http.Server) {
	ctx, cancel := context.WithTimeout(ctx, lastWords)
	defer cancel()
	var all sync.WaitGroup
	for _, h := range servers {
		all.Go(func() {
			if h.Shutdown(ctx) != nil {
				_ = h.Close() // of connections that nobody reads from any more
			}
		})
	}
	all.Wait()
}
