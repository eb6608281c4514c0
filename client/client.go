// Package client makes requests to the silos of a running instance, in the
// manner of Sentry's silo clients: to the address that is theirs at the moment,
// without a retry, and only where Sentry lets one silo call another.
//
// It must not know how silos are run, nor anything of command lines.
package client

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"silo/api"
	"silo/sentry"
	"silo/state"
)

// Live gives an instance's latest snapshot, or control.ErrNotRunning. It is
// called from many goroutines at once.
type SnapshotFunc func(context.Context) (*state.Snapshot, error)

// Running is Live of the instance that is recorded at dir: each call asks the
// instance's control socket.
func Running(dir *state.Dir) SnapshotFunc {
	return func(ctx context.Context) (*state.Snapshot, error) {
		supervisor, err := api.Dial(ctx, dir)
		if err != nil {
			return nil, err
		}
		defer supervisor.Close()
		return supervisor.Snapshot(ctx, false)
	}
}

// Options say whose silos a Client calls, and how. Live must be set.
type Options struct {
	Snapshot    SnapshotFunc
	Secrets func() (state.Secrets, error) // the instance's; needed for signed requests alone
	From    Caller                        // who calls; the zero Caller is none of the silos
	Direct  bool                          // call a silo's backend on its own port, past its tunnel
	// Timeout bounds a whole request, its answer's body included. Zero waits 30 s
	// for the answer to begin, as Sentry does (shared_integrations/client/base.py,
	// 23.7.1), and as long as it takes for its body. Less than zero waits for ever.
	Timeout time.Duration
	UserAgent   string // User-Agent; empty: "silo"
}

// Of are the Options for the instance that is recorded at dir.
func InstanceOptions(dir *state.Dir) Options {
	return Options{Snapshot: Running(dir), Secrets: dir.Secrets}
}

// Client makes requests to one silo. It keeps no connection between two of them,
// and so needs no closing; it is safe for concurrent use.
type Client struct {
	name    string
	options Options
	http    *http.Client
}

// Region is a client for the region of that name. As Sentry's RegionSiloClient it
// is control's alone, or that of somebody outside of all silos: any other Caller
// gets a RefusedError. Other errors are an UnknownError or what Live says.
func Region(ctx context.Context, name string, o Options) (*Client, error) {
	return dial(ctx, o, name, func(s state.Silo) bool { return s.Name == name && s.Mode == state.Region })
}

// Control is a client for the control silo. As Sentry's ControlSiloClient it is a
// region's alone, or that of somebody outside of all silos. Errors are as Region's.
func Control(ctx context.Context, o Options) (*Client, error) {
	return dial(ctx, o, "control", func(s state.Silo) bool { return s.Mode == state.Control })
}

// Silo is a client for the silo of that name, whatever it runs as; that a
// monolith can be called too is for those outside alone. Errors are as Region's.
func New(ctx context.Context, name string, o Options) (*Client, error) {
	return dial(ctx, o, name, func(s state.Silo) bool { return s.Name == name })
}

func dial(ctx context.Context, o Options, name string, is func(state.Silo) bool) (*Client, error) {
	snapshot, err := o.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(snapshot.Silos, is)
	if i < 0 {
		return nil, unknownSilo(name, snapshot)
	}
	silo := snapshot.Silos[i]
	if err := o.From.mayCall(silo); err != nil {
		return nil, err
	}
	return &Client{name: silo.Name, options: o, http: newHTTP()}, nil
}

// Name is the silo's.
func (c *Client) Name() string { return c.name }

func newHTTP() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment,
			// A connection that has been used before may make net/http send a
			// request twice.
			DisableKeepAlives:  true,
			DisableCompression: true, // or a body would not be the bytes that the silo sent
		},
		CheckRedirect: redirected,
	}
}

// redirected follows redirects of GET alone (shared_integrations/client/base.py,
// _request, 23.7.1), and no more than curl does by default.
func redirected(next *http.Request, before []*http.Request) error {
	if before[0].Method != http.MethodGet {
		return http.ErrUseLastResponse
	}
	if len(before) >= 30 {
		return errors.New("it redirects for ever")
	}
	next.Header.Del("Referer") // net/http's own, of a URL that it does not understand
	return nil
}

// dialect is the one that a snapshot's Sentry speaks.
func dialect(snapshot *state.Snapshot) (sentry.Dialect, error) {
	d, err := sentry.DialectNamed(snapshot.Dialect)
	if errors.Is(err, sentry.ErrUnsupported) {
		err = nil // it runs
	}
	return d, err
}
