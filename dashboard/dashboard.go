// Package dashboard serves one instance's dashboard to browsers on this machine:
// the page's files, and the API behind a secret token.
//
// The package must not know what the data means: an http.Handler serves it.
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
	// portName is the key of the remembered port. It contains a colon, so it cannot be a
	// silo's name.
	portName = "dashboard:"

	maxConns  = 64       // a page has two streams and loads a few files
	maxHeader = 16 << 10 // bytes

	// The API's handler extends the write timeout of its streams.
	headerTimeout, writeTimeout, idleTimeout = 5 * time.Second, 10 * time.Second, time.Minute

	// closeTimeout lets streams end. Browsers also open connections in advance, without a request;
	// Shutdown would wait longer for those.
	closeTimeout = 250 * time.Millisecond
)

// Server serves one instance's dashboard. Without clients it costs one listener and one blocked
// goroutine.
type Server struct {
	listener net.Listener
	hosts    []string // the allowed Host headers, against DNS rebinding
	token    string
	tickets  tickets
	http     *http.Server
	served   chan struct{}
}

// Listen listens on a loopback port, preferably the one that the instance in dir used last. The
// caller holds the instance's lock and must call Serve or Close.
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
	_, port, _ := net.SplitHostPort(listener.Addr().String()) // a TCP address always has a port
	for _, name := range []string{"127.0.0.1", "localhost", "::1"} {
		s.hosts = append(s.hosts, net.JoinHostPort(name, port))
	}
	if number, _ := strconv.Atoi(port); number != remembered[portName] {
		remembered[portName] = number
		_ = dir.SavePorts(remembered) // on failure the next run has another port, which it prints
	}
	return s, nil
}

func listen(ctx context.Context, port int) (net.Listener, error) {
	return (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
}

// Address returns the address without the token. It is not secret.
func (s *Server) Address() string { return "http://" + s.hosts[0] }

// URL returns the address with the token, which gives full control of the instance.
func (s *Server) URL() string { return s.Address() + "/" + s.token + "/" }

// OneTimeURL returns an address that opens the page once, within a minute.
func (s *Server) OneTimeURL() string { return s.Address() + "/" + s.tickets.issue(time.Now()) }

// Serve starts serving, in goroutines that Close ends. api serves /v1/: it must bound its own
// streams, and no GET may change anything.
func (s *Server) Serve(api http.Handler) {
	s.http = &http.Server{
		Handler:           s.guard(http.StripPrefix("/"+s.token, api), http.HandlerFunc(servePage)),
		ReadHeaderTimeout: headerTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
	}
	go func() {
		defer close(s.served)
		_ = s.http.Serve(s.listener) // returns after Close
	}()
}

// Close stops the server within about closeTimeout, even if ctx has ended.
func (s *Server) Close(ctx context.Context) error {
	if s.http == nil {
		return s.listener.Close()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.http.Close()
	}
	<-s.served
	return err
}
