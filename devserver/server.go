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
	"sync/atomic"
	"time"
)

// server is one silo's process.
type server struct {
	id     identity
	env    func(string) (string, bool)
	args   arguments
	log    *logger
	conf   reloader
	page   page
	client *http.Client

	started time.Time
	bind    address                       // the requested host with the actual port
	backend int                           // the port of the app
	loaded  atomic.Pointer[chan struct{}] // closed once the app answers; another one for each reload
	failed  chan error                    // a failure that ends the process; buffers one

	servers []*http.Server // the app's is the last one; owned by serve
	running sync.WaitGroup // their goroutines
}

// callTimeout is the timeout of Sentry's silo client (BaseApiClient.timeout in
// sentry/shared_integrations/client/base.py).
const callTimeout = 30 * time.Second

func newServer(o Options, args arguments, id identity) *server {
	s := &server{
		id: id, env: o.Env, args: args, log: newLogger(o, args),
		client: &http.Client{
			Timeout: callTimeout,
			// A silo without requests holds no connection.
			Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		started: time.Now(),
		failed:  make(chan error, 1),
	}
	s.loaded.Store(new(make(chan struct{})))
	return s
}

// serve listens and answers until ctx ends or the process fails.
func (s *server) serve(ctx context.Context, bind address) error {
	hangup, release := takeSignals(s.args.ignore)
	defer release()
	listeners, err := s.listen(ctx, bind)
	if err != nil {
		return err
	}
	// Waiting and streaming requests end with the process, whatever the cause.
	answering, stop := context.WithCancel(ctx)
	defer stop()
	for i, listener := range listeners {
		s.answer(answering, listener, i == 0 && s.args.watchers)
	}
	s.announce()
	err = s.loop(answering, hangup)
	stop()
	s.log.uwsgi("SIGINT/SIGTERM received...killing workers...")
	closeAll(context.WithoutCancel(ctx), s.servers)
	s.running.Wait()
	s.log.uwsgi("goodbye to uWSGI.")
	return err
}

// answer serves a listener until its server is closed.
func (s *server) answer(ctx context.Context, listener net.Listener, webpack bool) {
	h := &http.Server{
		Handler:           s.handler(webpack),
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: time.Minute,
		ErrorLog:          log.New(io.Discard, "", 0), // uWSGI logs no connection errors
	}
	s.servers = append(s.servers, h)
	s.running.Go(func() {
		if err := h.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.fail(refuse("serve on %s: %s", listener.Addr(), err))
		}
	})
}

// listen opens the port, and with watchers the next one for the backend.
func (s *server) listen(ctx context.Context, bind address) ([]net.Listener, error) {
	first, err := listen(ctx, bind)
	if err != nil {
		return nil, err
	}
	s.bind = address{bind.host, portOf(first)}
	s.backend = s.bind.port
	if !s.args.watchers {
		return []net.Listener{first}, nil
	}
	s.backend++
	second, err := listen(ctx, address{bind.host, s.backend})
	if err != nil {
		_ = first.Close() // the other error caused this one
		return nil, err
	}
	return []net.Listener{first, second}, nil
}

// listen binds IPv4 only, as uWSGI does for localhost.
func listen(ctx context.Context, bind address) (net.Listener, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp4", bind.String())
	if err == nil {
		return listener, nil
	}
	reason := err
	if call, isCall := errors.AsType[*os.SyscallError](err); isCall {
		reason = call.Err
	}
	return nil, refuse("probably another instance of uWSGI is running on the same address (%s).\nbind(): %s [core/socket.c line 769]", bind, capital(reason.Error()))
}

// capital returns s with an upper-case first letter, as the C library prints errors.
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

// announce writes the useful lines that a devserver logs at startup.
func (s *server) announce() {
	pid := os.Getpid()
	if s.args.daemons() {
		s.log.daemon(nameSystem, "%s started (pid=%d)", nameServer, pid)
	}
	s.log.uwsgi("*** Starting the stand-in of a Sentry devserver (no Sentry, no uWSGI) on [%s] ***", s.started.Format(time.ANSIC))
	if !s.args.watchers {
		s.log.uwsgi("uWSGI http bound on %s fd 4", s.bind)
	} else {
		s.log.uwsgi("uwsgi socket 0 bound to TCP address %s fd 3", address{s.bind.host, s.backend})
		s.log.daemon(nameSystem, "%s started (pid=%d)", nameWebpack, pid)
		s.log.daemon(nameWebpack, "webpack-dev-server: Loopback: http://%s/", s.bind)
	}
	if s.args.workers {
		s.log.daemon(nameSystem, "%s started (pid=%d)", nameWorker, pid)
		s.log.daemon(nameWorker, "celery@%s ready.", s.id.name)
		s.log.daemon(nameSystem, "%s started (pid=%d)", nameCron, pid)
		s.log.daemon(nameCron, "beat: Starting...")
	}
	s.log.uwsgi("spawned uWSGI worker 1 (pid: %d, cores: 2)", pid)
}

// ready releases the requests that wait for the app.
func (s *server) ready(since time.Time) {
	close(*s.loaded.Load())
	s.log.ready(time.Since(since))
}

// isLoaded reports whether the app answers.
func (s *server) isLoaded() bool {
	select {
	case <-*s.loaded.Load():
		return true
	default:
		return false
	}
}

// loop handles events until the process ends.
func (s *server) loop(ctx context.Context, hangup <-chan os.Signal) error {
	var load, exit, tick, look <-chan time.Time
	began := s.started
	if s.args.delay > 0 {
		load = time.After(s.args.delay)
	} else {
		s.ready(began)
	}
	if s.args.exitAfter > 0 {
		exit = time.After(s.args.exitAfter - time.Since(s.started))
	}
	if s.args.logEvery > 0 {
		ticker := time.NewTicker(s.args.logEvery)
		defer ticker.Stop()
		tick = ticker.C
	}
	if s.args.reload {
		ticker := time.NewTicker(lookInterval)
		defer ticker.Stop()
		look = ticker.C
	}
	for n := 1; ; {
		reload := false
		select {
		case <-ctx.Done():
			return nil
		case err := <-s.failed:
			return err
		case <-exit:
			if s.args.exitCode == 0 {
				return nil
			}
			return &ExitError{Code: s.args.exitCode, Text: fmt.Sprintf("exit by --exit-after %s with status %d", s.args.exitAfter, s.args.exitCode)}
		case <-load:
			s.ready(began)
			load = nil
		case <-hangup:
			reload = true
		case <-look:
			reload = s.isLoaded() && s.confChanged()
		case <-tick:
			s.log.app("%s [INFO] %s: line %d", time.Now().Format("15:04:05"), s.id.name, n)
			n++
		}
		if reload {
			if err := s.reload(ctx); err != nil {
				return err
			}
			began, load = time.Now(), time.After(max(s.args.delay, reloadTime))
		}
	}
}

// fail ends the process. Only the first failure counts.
func (s *server) fail(err error) {
	select {
	case s.failed <- err:
	default:
	}
}

// drainTime bounds how long responses in progress delay the end.
const drainTime = 100 * time.Millisecond

// closeAll closes idle connections at once and the others after drainTime.
func closeAll(ctx context.Context, servers []*http.Server) {
	ctx, cancel := context.WithTimeout(ctx, drainTime)
	defer cancel()
	var all sync.WaitGroup
	for _, h := range servers {
		all.Go(func() {
			if h.Shutdown(ctx) != nil {
				_ = h.Close() // connections whose client does not read
			}
		})
	}
	all.Wait()
}
