// Package tunnels gives each silo the address that other silos and people reach
// it by, and keeps it until closed.
//
// It must not know topologies, processes, or what a silo serves; and no other
// room may know that ngrok's SDK exists.
package tunnels

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"silo/proxy"
	"silo/traffic"
)

// The providers that New knows.
const (
	Local    = "local"    // an address on loopback, served by this process
	Ngrok    = "ngrok"    // a public address at the ngrok service
	External = "external" // an address that somebody else keeps
	None     = "none"     // the silo's own port
)

// closeBound is how long a Close waits for anything at most.
const closeBound = 2 * time.Second

// Spec says what a tunnel leads to, and by what address.
type Spec struct {
	// Name of the silo.
	Name string
	// Upstream is where the silo listens, as host:port, or empty while it has no
	// port. It is asked for each request, from many goroutines at once.
	Upstream func() string
	// Starting tells whether the silo is on its way up, and in which step. May
	// be nil.
	Starting func() (step string, starting bool)
	// Domain is the public host to ask for. Ngrok makes one up where it is empty.
	Domain string
	// URL is the whole address, for External.
	URL string
	// HostHeader is preserve (also when empty), rewrite, or a host.
	HostHeader string
	// Hosts are what the provider's HostRouter routes to it, the one to show first. For
	// Local.
	Hosts []string
	// TrafficPolicy is the text of a policy in YAML or JSON, for Ngrok.
	TrafficPolicy string
	// BasicAuth are user:password pairs, for Ngrok and Local.
	BasicAuth []string
	// AllowCIDRs are the networks to admit, for Ngrok and Local; none: all.
	AllowCIDRs []string
	// Listener is what Local serves on. Open owns it from the call on, whatever
	// the provider and also when it fails. Without one Local takes a free port.
	Listener net.Listener
}

// State is where a tunnel stands.
type State string

// The states of a tunnel.
const (
	Opening      State = "opening"
	Online       State = "online"
	Reconnecting State = "reconnecting" // its link is down and being mended
	Lost         State = "lost"         // refused or stopped, while others may be up
	Unneeded     State = "none"         // there is no tunnel, only an address
)

// Status is a State and, where the tunnel is not online, why. Err is immutable.
type Status struct {
	State State
	Err   *Error
	// Attempt is which attempt in a row to come back is being made or waited
	// for; 0 where none is.
	Attempt int
}

func (s *Status) equal(other Status) bool {
	if s.Err == nil || other.Err == nil {
		return *s == other
	}
	return s.State == other.State && s.Attempt == other.Attempt && *s.Err == *other.Err
}

// Tunnel is one silo's address. Its methods may be called from any goroutine.
type Tunnel interface {
	// Name is the silo's.
	Name() string
	// URL is the address, without a slash at its end. It never changes.
	URL() string
	// Status is where the tunnel stands now.
	Status() Status
	// Replay makes a recorded request again, of this tunnel's silo and through what
	// forwards to it (proxy.Proxy.Replay): it does not leave this process. Where the
	// traffic does not pass this process it fails.
	Replay(ctx context.Context, e traffic.Exchange, caller traffic.Caller) (traffic.Exchange, error)
	// Close gives the address back. It waits until nothing of the tunnel runs,
	// but never longer than ctx or 2 s, and is idempotent. After it Changed is
	// not called for this tunnel.
	Close(ctx context.Context) error
}

// Provider makes tunnels. Its methods may be called from any goroutine.
type Provider interface {
	// Open makes a tunnel and returns once its address works, or with an error
	// that wraps *Error where the cause is one that a user can mend. What ctx
	// bounds is the opening; the tunnel lives until closed.
	Open(ctx context.Context, spec Spec) (Tunnel, error)
	// Close closes all tunnels and what they share. It waits until nothing of
	// them runs, but never longer than ctx or 2 s, and is idempotent. Every Open
	// after it fails.
	Close(ctx context.Context) error
}

// Config is what New needs to know. Log, Warn and Changed may be nil; they are
// called from goroutines of the provider, must not block and must not call back.
type Config struct {
	Provider   string // Local, Ngrok, External or None
	Ngrok      NgrokConfig
	Version    string      // of silo, told to services
	HostRouter *HostRouter // of Local, which closes it; may be nil
	// Log gets one line, without a secret, for each thing worth a trace.
	Log func(line string)
	// Recording has what passes kept, by Local and Ngrok. Nil: nothing is. Ngrok does
	// not ask for its Caller: the service names an address.
	Recording *Recording
	// Warn gets one line, without a secret, for what a user should know though
	// nothing has failed: that a service will soon no longer take this client.
	Warn func(line string)
	// Changed gets each Status that a tunnel takes on, in order, from Open on.
	Changed func(name string, status Status)
}

// Recording is where what passes tunnels is kept, and how it is told who calls.
type Recording = proxy.Recording

// NgrokConfig is how the ngrok service is reached. Only Authtoken is required.
type NgrokConfig struct {
	Authtoken   string
	TokenSource string // where Authtoken was found, as FindToken says it; for errors
	ServerAddr  string // host:port; default: the SDK's
	RootCAs     string // PEM file with what to trust for ServerAddr; default: the SDK's
	Metadata    string // of the session, shown in the dashboard
	// AnswerTimeout bounds the wait for an answer of the service; default 15 s.
	AnswerTimeout time.Duration
	// Heartbeat is how often the link is tried; default 10 s. A dead link is
	// found after two and a half of them at the latest.
	Heartbeat time.Duration
	// ConflictGrace is how long a tunnel that was online may be refused because
	// somebody else holds what it needs before it counts as lost: the service may
	// take this program's last connection for somebody else. Default 10 s.
	ConflictGrace time.Duration
}

// errPassedBy is of tunnels that are somebody else's, or none.
var errPassedBy = errors.New("no traffic of this silo passes silo: its address is not silo's own")

// errClosed is why things end that Close has ended.
var errClosed = errors.New("the tunnel's provider is closed")

// New makes the provider that config names. It reads RootCAs and contacts
// nobody. Fails with an *Error that tells what to mend.
func New(config Config) (Provider, error) {
	if config.Log == nil {
		config.Log = func(string) {}
	}
	if config.Warn == nil {
		config.Warn = config.Log
	}
	if config.Changed == nil {
		config.Changed = func(string, Status) {}
	}
	switch config.Provider {
	case Local:
		return &local{config: config, edges: map[*edge]bool{}}, nil
	case Ngrok:
		return newNgrok(config)
	case External, None:
		return &fixed{config: config}, nil
	}
	return nil, fmt.Errorf("tunnel provider %q: not one of local, ngrok, external, none", config.Provider)
}

// OpenAll opens a tunnel for each of specs, all at once, and returns them in
// the same order. The first failure is returned; it ends the attempts that are
// under way and closes the tunnels that are open already, at most 2 s after.
func OpenAll(ctx context.Context, provider Provider, specs []Spec) ([]Tunnel, error) {
	opened := make([]Tunnel, len(specs))
	group, groupCtx := errgroup.WithContext(ctx)
	for i, spec := range specs {
		group.Go(func() error {
			tunnel, err := provider.Open(groupCtx, spec)
			if err != nil {
				return fmt.Errorf("open tunnel for %s: %w", spec.Name, err)
			}
			opened[i] = tunnel
			return nil
		})
	}
	failure := group.Wait()
	if failure == nil {
		return opened, nil
	}
	bound, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeBound)
	defer cancel()
	var closing sync.WaitGroup
	for _, tunnel := range opened {
		if tunnel != nil {
			closing.Go(func() { _ = tunnel.Close(bound) }) // the failure that led here is what matters
		}
	}
	closing.Wait()
	return nil, failure
}

// lamp shows the Status of one tunnel and tells of its changes, in order, until
// it is put out.
type lamp struct {
	name    string
	changed func(string, Status)
	now     atomic.Pointer[Status]

	mu    sync.Mutex // serialises changes with the calls that tell of them; guards all below
	out   bool
	since time.Time // of the first failure in a row
}

func newLamp(name string, changed func(string, Status)) *lamp {
	l := &lamp{name: name, changed: changed}
	l.now.Store(&Status{})
	return l
}

// show shows a state in which no attempt to come back is made.
func (l *lamp) show(state State, err *Error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.change(Status{State: state, Err: err})
}

// fail shows why the tunnel is down, and that one more attempt is made: lost
// where only the endpoint, the account or somebody else can change that.
// Somebody else is given patience first.
func (l *lamp) fail(why *Error, patience time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	next := Status{State: Lost, Err: why, Attempt: l.now.Load().Attempt + 1}
	if next.Attempt == 1 {
		l.since = time.Now()
	}
	if why.Class == Transient || why.Class == Conflict && time.Since(l.since) < patience {
		next.State = Reconnecting
	}
	l.change(next)
}

// change needs mu.
func (l *lamp) change(next Status) {
	if l.out || l.now.Load().equal(next) {
		return
	}
	l.now.Store(&next)
	l.changed(l.name, next)
}

// putOut returns when no call is under way, and none will ever be again.
func (l *lamp) putOut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.out = true
}

// wait waits for done, at most until ctx ends or closeBound is over.
func wait(ctx context.Context, done <-chan struct{}, what string) error {
	bound := time.NewTimer(closeBound)
	defer bound.Stop()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("close %s: %w", what, ctx.Err())
	case <-bound.C:
		return fmt.Errorf("close %s: not done after %v", what, closeBound)
	}
}
