// Package ngroktest is an ngrok service in one process, for tests. Agents of any kind
// connect to it over TLS, bind endpoints, and serve the requests that its public
// listeners accept. Tests can inject the failures of the real service.
//
// It implements the wire protocol of golang.ngrok.com/ngrok v1.12.1 (module source,
// internal/tunnel/proto/msg.go) and must not know the program under test.
package ngroktest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Options configure a Service. By default it accepts every domain, and every
// authtoken that is not empty.
type Options struct {
	Dir     string   // where ca.pem is written; must exist
	Tokens  []string // the valid authtokens; none: any
	Domains []string // the reserved domains; none: any
	// Endpoints is the maximum number of endpoints per session; 0: no limit.
	Endpoints int
	// Account and Plan are the names sent to agents.
	Account, Plan string
	// Deprecated is the date, sent in a warning, from which agents will be refused.
	Deprecated time.Time
}

const (
	portFirst = 19000
	portCount = 1000
	portTries = 20
)

// Service is a running ngrok service. Its methods may be called at any time
// from any goroutine.
type Service struct {
	options   Options
	authority *authority
	addr      string // of the agents' listener; ReopenListener reuses it
	caFile    string

	public, publicTLS net.Listener
	servers           []*http.Server
	transport         *http.Transport
	running           sync.WaitGroup

	mu       sync.Mutex // guards all below
	agents   net.Listener
	closed   bool
	conns    map[*frozenConn]bool
	sessions map[*session]bool
	bindings map[string]*binding // by host
	occupied map[string]bool
	authCode string
	bindCode map[string]string // by host; "" is any host
	delay    time.Duration
	frozen   chan struct{} // non-nil while frozen; closed by Thaw
	auths    int
	beats    int
}

// Endpoint is an endpoint that an agent has bound.
type Endpoint struct {
	ID, Host, URL, ForwardsTo string
	Metadata, TrafficPolicy   string
	BasicAuth, AllowCIDRs     []string
	Session                   string // the ClientId of the agent's session
	UserAgent                 string
}

// Start starts a Service on free loopback ports. Close ends it.
func Start(options Options) (*Service, error) {
	s := &Service{
		options:  options,
		conns:    map[*frozenConn]bool{},
		sessions: map[*session]bool{},
		bindings: map[string]*binding{},
		occupied: map[string]bool{},
		bindCode: map[string]string{},
	}
	var err error
	if s.authority, err = newAuthority(); err != nil {
		return nil, fmt.Errorf("make a certificate authority: %w", err)
	}
	s.caFile = filepath.Join(options.Dir, "ca.pem")
	if err := os.WriteFile(s.caFile, s.authority.pem, 0o600); err != nil {
		return nil, fmt.Errorf("write the authority's certificate: %w", err)
	}
	s.transport = &http.Transport{
		DialContext:         s.dialAgent,
		MaxIdleConnsPerHost: 1024,
		DisableCompression:  true,
	}
	if err := s.listen(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Service) listen() error {
	if err := s.acceptOnStablePort(); err != nil {
		return err
	}
	var err error
	var config net.ListenConfig
	if s.public, err = config.Listen(context.Background(), "tcp", "127.0.0.1:0"); err != nil {
		return fmt.Errorf("listen for public clients: %w", err)
	}
	if s.publicTLS, err = config.Listen(context.Background(), "tcp", "127.0.0.1:0"); err != nil {
		return fmt.Errorf("listen for public clients: %w", err)
	}
	s.servePublic(s.public)
	s.servePublic(tls.NewListener(s.publicTLS, s.authority.config()))
	return nil
}

// acceptOnStablePort listens for agents on a free port below the ephemeral ones, which
// begin at 32768 on Linux and at 49152 on macOS. Otherwise an outgoing connection
// could take the port between CloseListener and ReopenListener.
func (s *Service) acceptOnStablePort() error {
	var err error
	for range portTries {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(portFirst+rand.IntN(portCount))) //nolint:gosec // G404: not a secret
		if err = s.acceptOn(addr); err == nil {
			return nil
		}
	}
	return err
}

// acceptOn accepts agents on addr.
func (s *Service) acceptOn(addr string) error {
	var config net.ListenConfig
	listener, err := config.Listen(context.Background(), "tcp", addr)
	if err != nil {
		return fmt.Errorf("listen for agents: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.agents, s.addr = listener, listener.Addr().String()
	s.running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			s.running.Go(func() { s.serveAgent(conn) })
		}
	})
	return nil
}

// Close disconnects all agents and clients. It returns when all of the service's goroutines
// have ended, except some of muxado's.
func (s *Service) Close() error {
	s.mu.Lock()
	s.closed = true
	if s.agents != nil {
		_ = s.agents.Close()
	}
	s.mu.Unlock()
	s.Thaw()
	for _, server := range s.servers {
		_ = server.Close()
	}
	s.DropSessions()
	s.transport.CloseIdleConnections()
	s.running.Wait()
	return nil
}

// Addr returns the host:port of the service, for server_addr.
func (s *Service) Addr() string { return s.addr }

// CAFile returns a PEM file with the CA to trust, for root_cas.
func (s *Service) CAFile() string { return s.caFile }

// PublicAddr returns the host:port of the public plain HTTP listener. It routes by Host.
func (s *Service) PublicAddr() string { return s.public.Addr().String() }

// PublicTLSAddr returns the host:port of the public HTTPS listener. It signs a
// certificate for the name that a client asks for, with the CA of CAFile.
func (s *Service) PublicTLSAddr() string { return s.publicTLS.Addr().String() }

// Get requests path of host from the public listener. The caller closes the body.
func (s *Service) Get(ctx context.Context, host, path string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.PublicAddr()+path, nil)
	if err != nil {
		return nil, fmt.Errorf("get %s of %s: %w", path, host, err)
	}
	request.Host = host
	request.Close = true
	return http.DefaultTransport.RoundTrip(request)
}

// Endpoints returns all bound endpoints, sorted by host.
func (s *Service) Endpoints() []Endpoint {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := []Endpoint{}
	for _, b := range s.bindings {
		all = append(all, b.Endpoint)
	}
	slices.SortFunc(all, func(a, b Endpoint) int { return strings.Compare(a.Host, b.Host) })
	return all
}

// Sessions returns the number of authenticated agents that are connected.
func (s *Service) Sessions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sessions)
}

// Auths returns the number of authentications, including refused ones.
func (s *Service) Auths() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.auths
}

// Heartbeats returns the number of heartbeats that were answered.
func (s *Service) Heartbeats() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.beats
}
