// Package tunnels gives each silo an address that other silos and people can use, and keeps it
// until closed.
//
// It must not know topologies, processes, or what a silo serves. No other package
// may know ngrok's SDK.
package tunnels

import (
	"context"
	"errors"
	"fmt"
	"net"
	"reflect"
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
	External = "external" // an address that silo does not manage
	None     = "none"     // the silo's own port
)

// closeLimit bounds every wait of a Close.
const closeLimit = 2 * time.Second

// Spec describes a tunnel: its upstream, address and access rules.
type Spec struct {
	// Name is the silo's name.
	Name string
	// Upstream returns the host:port that the silo listens on, or an empty string while it
	// has no port. It is called for each request, from many goroutines at once.
	Upstream func() string
	// Starting reports whether the silo is starting, and the current step. May be nil.
	Starting func() (step string, starting bool)
	// Domain is the public host to request. If it is empty, ngrok's service chooses one.
	Domain string
	// URL is the whole address, for External.
	URL string
	// HostHeader is preserve (also when empty), rewrite, or a host.
	HostHeader string
	// Hosts are the hosts that the HostRouter routes to the tunnel; the first one is displayed.
	// Only for Local.
	Hosts []string
	// TrafficPolicy is a policy in YAML or JSON. Only for Ngrok, whose SDK panics on any other
	// text.
	TrafficPolicy string
	// BasicAuth are user:password pairs, for Ngrok and Local. Ngrok requires passwords
	// of at least 8 characters.
	BasicAuth []string
	// AllowCIDRs are the networks to admit, for Ngrok and Local. Empty: all.
	AllowCIDRs []string
	// Listener is the listener that Local serves on; nil: one on a free port. Open
	// always takes ownership of it, with every provider and even if it fails.
	Listener net.Listener
}

// State is the state of a tunnel.
type State string

// The states of a tunnel.
const (
	Opening      State = "opening"
	Online       State = "online"
	Reconnecting State = "reconnecting" // its connection is being reestablished
	Lost         State = "lost"         // refused or stopped; other tunnels may be online
	Unneeded     State = "none"         // there is no tunnel, only an address
)

// Status is a State and, if the tunnel is not online, the reason. Err is immutable.
type Status struct {
	State State
	Err   *Error
	// Attempt is the number of the next attempt to reconnect; 0 if there will be none.
	Attempt int
}

// Tunnel is one silo's address. Its methods may be called from any goroutine.
type Tunnel interface {
	// Name returns the silo's name.
	Name() string
	// URL returns the address, without a trailing slash. It never changes.
	URL() string
	// Status returns the current status.
	Status() Status
	// Replay sends a recorded request to the silo again (proxy.Proxy.Replay), within
	// this process. It fails if the tunnel's traffic does not go through this process.
	Replay(ctx context.Context, e traffic.Exchange, caller traffic.Caller) (traffic.Exchange, error)
	// Close releases the address. It waits until the tunnel's goroutines have ended, but
	// no longer than ctx or 2 s. It is idempotent. Afterwards, Changed is not called for
	// this tunnel.
	Close(ctx context.Context) error
}

// Provider opens tunnels. Its methods may be called from any goroutine.
type Provider interface {
	// Open opens a tunnel and returns once its address works. The error wraps *Error
	// if the user can fix the cause. ctx bounds only the opening; the tunnel lives
	// until it is closed.
	Open(ctx context.Context, spec Spec) (Tunnel, error)
	// Close closes all tunnels and their shared resources. It waits until their goroutines
	// have ended, but no longer than ctx or 2 s. It is idempotent. Afterwards, Open fails.
	Close(ctx context.Context) error
}

// Config configures a provider. Log, Warn and Changed may be nil; they are called
// from goroutines of the provider, must not block and must not call back.
type Config struct {
	Provider   string // Local, Ngrok, External or None
	Ngrok      NgrokConfig
	Version    string      // silo's version, sent to services
	HostRouter *HostRouter // for Local, which closes it; may be nil
	// Log receives one line, without secrets, for each event worth tracing.
	Log func(line string)
	// Recording records the traffic of Local and Ngrok. Nil: none is recorded. Ngrok
	// does not use its Caller, because the service sends the caller's address.
	Recording *Recording
	// Warn receives one line, without secrets, that the user should see although nothing
	// failed, such as a deprecation notice.
	Warn func(line string)
	// Changed receives each Status of a tunnel, in order, starting with Open.
	Changed func(name string, status Status)
}

// Recording configures how traffic is recorded.
type Recording = proxy.Recording

// NgrokConfig configures the connection to the ngrok service. Only Authtoken is required.
type NgrokConfig struct {
	Authtoken   string
	TokenSource string // where Authtoken was found, as from FindToken; for errors
	ServerAddr  string // host:port; default: the SDK's
	RootCAs     string // PEM file with the CAs to trust for ServerAddr; default: the SDK's
	Metadata    string // of the session, shown in ngrok's dashboard
	// AnswerTimeout bounds the wait for an answer from the service; default 15 s.
	AnswerTimeout time.Duration
	// Heartbeat is the interval of heartbeats; default 10 s. A dead connection is
	// detected after 2.5 intervals at the latest.
	Heartbeat time.Duration
	// ConflictGrace is how long a conflict counts as transient for a tunnel that was
	// online: the service may not have noticed yet that this program's last connection has
	// ended. Default 10 s.
	ConflictGrace time.Duration
}

var (
	errNotForwarded = errors.New("silo does not forward this silo's traffic, so it cannot replay a request")
	errClosed       = errors.New("the tunnel's provider is closed")
)

// closedError returns the error of an Open that must not start.
func closedError(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return errClosed
}

// New returns the provider that config names. It reads RootCAs, and connects to
// nothing. The error is an *Error if the user can fix the cause.
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
		if config.HostRouter == nil {
			config.HostRouter = NewHostRouter()
		}
		return &local{config: config, tunnels: map[*localTunnel]bool{}}, nil
	case Ngrok:
		return newNgrok(config)
	case External, None:
		return &fixed{config: config}, nil
	}
	return nil, fmt.Errorf("tunnel provider %q: not one of local, ngrok, external, none", config.Provider)
}

// newProxy returns the proxy that forwards to the silo of spec.
func newProxy(spec Spec, config Config, trustForwarded bool) *proxy.Proxy {
	return proxy.New(proxy.Options{
		Silo: spec.Name, Target: spec.Upstream, Starting: spec.Starting, HostHeader: spec.HostHeader,
		TrustForwarded: trustForwarded, Recording: config.Recording,
	})
}

// OpenAll opens a tunnel for each of specs concurrently, and returns them in the same
// order. On the first failure it cancels the other attempts, closes the open tunnels
// within 2 s, and returns the failure.
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
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeLimit)
	defer cancel()
	var closing sync.WaitGroup
	for _, tunnel := range opened {
		if tunnel != nil {
			closing.Go(func() { _ = tunnel.Close(limit) }) // the first failure is returned instead
		}
	}
	closing.Wait()
	return nil, failure
}

// tracker holds the name, URL and Status of one tunnel, and reports each Status change.
type tracker struct {
	name, url string
	grace     time.Duration // how long a conflict counts as transient
	changed   func(name string, status Status)
	status    atomic.Pointer[Status]

	mu    sync.Mutex // held while changed is called, so that changes stay in order; guards all below
	muted bool
	since time.Time // time of the first of consecutive failures
}

func newTracker(name, url string, config Config) *tracker {
	t := &tracker{name: name, url: url, grace: config.Ngrok.ConflictGrace, changed: config.Changed}
	t.status.Store(&Status{})
	return t
}

func (t *tracker) Name() string   { return t.name }
func (t *tracker) URL() string    { return t.url }
func (t *tracker) Status() Status { return *t.status.Load() }

// set sets a state without reconnect attempts.
func (t *tracker) set(state State, err *Error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.change(Status{State: state, Err: err})
}

// fail counts another attempt to reconnect. The state becomes lost if a retry cannot help, or
// if a conflict has lasted longer than the grace period.
func (t *tracker) fail(why *Error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	next := Status{State: Lost, Err: why, Attempt: t.status.Load().Attempt + 1}
	if next.Attempt == 1 {
		t.since = time.Now()
	}
	if why.Class == Transient || why.Class == Conflict && time.Since(t.since) < t.grace {
		next.State = Reconnecting
	}
	t.change(next)
}

// change must be called with mu held.
func (t *tracker) change(next Status) {
	if !t.muted && !reflect.DeepEqual(*t.status.Load(), next) {
		t.status.Store(&next)
		t.changed(t.name, next)
	}
}

// mute stops reporting changes. It waits for a call of changed that is in progress.
func (t *tracker) mute() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.muted = true
}

// awaitClose waits for done, but no longer than ctx or closeLimit.
func awaitClose(ctx context.Context, done <-chan struct{}, what string) error {
	limit := time.NewTimer(closeLimit)
	defer limit.Stop()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("close %s: %w", what, ctx.Err())
	case <-limit.C:
		return fmt.Errorf("close %s: not done after %v", what, closeLimit)
	}
}
