// Package dashboard serves one instance's page to browsers on this machine: its
// files, the token without which nothing is told, and who may ask for what.
//
// It must not know what the page's data means: that comes as an http.Handler,
// whose answers are handed on as they are.
package dashboard

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"golang.org/x/net/netutil"

	"silo/state"
)

const (
	// portName is what the page's port is remembered by; no silo's name holds a colon.
	portName = "dashboard:"

	// What one browser may take: a page has two streams and a few files under way.
	maxConns  = 64
	maxHeader = 16 << 10

	// How long it may take, in its parts. The data's handler prolongs what streams.
	askTime, answerTime, idleTime = 5 * time.Second, 10 * time.Second, time.Minute

	// closeTime is for the last words of streams. A browser keeps connections open
	// that it has said nothing on yet, which no orderly end would wait for less.
	closeTime = 250 * time.Millisecond
)

// Server is the place of one instance's page. It costs a listener and a goroutine
// that sleeps, until somebody looks.
type Server struct {
	listener net.Listener
	hosts    []string // the names it may be asked by, against DNS rebinding
	token    string
	tickets  tickets
	http     *http.Server
	served   chan struct{}
}

// Listen takes a port of the loopback interface: the one that the instance of dir
// had last, if it is free. Serve has to follow, or Close. The caller holds the
// instance's lock.
func Listen(ctx context.Context, dir *state.Dir) (*Server, error) {
	remembered := dir.Ports()
	listener, err := listen(ctx, remembered[portName])
	if err != nil {
		listener, err = listen(ctx, 0)
	}
	if err != nil {
		return nil, fmt.Errorf("open the dashboard's port: %w", err)
	}
	s := &Server{listener: netutil.LimitListener(listener, maxConns), token: rand.Text(), served: make(chan struct{})}
	_, port, _ := net.SplitHostPort(listener.Addr().String()) // a TCP address always has one
	for _, name := range []string{"127.0.0.1", "localhost", "::1"} {
		s.hosts = append(s.hosts, net.JoinHostPort(name, port))
	}
	if number, _ := strconv.Atoi(port); number != remembered[portName] {
		remembered[portName] = number
		_ = dir.SavePorts(remembered) // then the next run's page is elsewhere, and its address is printed
	}
	return s, nil
}

func listen(ctx context.Context, port int) (net.Listener, error) {
	return (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
}

// Address is where the page is, without the token: for everybody to see.
func (s *Server) Address() string { return "http://" + s.hosts[0] }

// URL is the page's whole address. Who has it may do to the instance what its
// user may.
func (s *Server) URL() string { return s.Address() + "/" + s.token + "/" }

// Once is an address that leads to the page once, within a minute.
func (s *Server) OneTimeURL() string { return s.Address() + "/" + s.tickets.issue(time.Now()) }

// Serve begins to answer, in goroutines that end with Close. api answers what is
// asked under /v1/; it bounds its own streams, and no GET to it changes anything.
func (s *Server) Serve(api http.Handler) {
	s.http = &http.Server{
		Handler:           s.guarded(http.StripPrefix("/"+s.token, api), http.HandlerFunc(file)),
		ReadHeaderTimeout: askTime, WriteTimeout: answerTime, IdleTimeout: idleTime, MaxHeaderBytes: maxHeader,
	}
	go func() {
		defer close(s.served)
		_ = s.http.Serve(s.listener) // ends with Close, and has nobody to tell otherwise
	}()
}

// Close ends the page in bounded time, whether or not ctx has ended.
func (s *Server) Close(ctx context.Context) error {
	if s.http == nil {
		return s.listener.Close()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTime)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.http.Close()
	}
	<-s.served
	return err
}
