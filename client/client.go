// Package client calls the silos of a running instance. Client makes requests like Sentry's
// silo clients: to a silo's current address, without retries, and only if Sentry lets the
// caller call that silo. Proxy forwards whole requests in the same way. Check reports
// whether each silo can be reached, on its own port and at its address, and whether that
// silo answers there.
//
// The package must not know how silos are run, command lines, or how results are
// displayed.
package client

import (
	"context"
	"errors"
	"net/http"
	"time"

	"silo/api"
	"silo/state"
)

// SnapshotFunc returns an instance's latest snapshot, or api.ErrNotRunning. It may be
// called concurrently.
type SnapshotFunc func(context.Context) (*state.Snapshot, error)

// Options configure a Client. Snapshot is required.
type Options struct {
	Snapshot SnapshotFunc
	Secrets  func() (state.Secrets, error) // the instance's; needed only for signed requests
	From     Caller                        // the zero Caller is not a silo
	Direct   bool                          // call a silo's backend on its own port, not through its tunnel
	// Timeout bounds a whole request, including its response body. Zero allows 30 s until the response
	// begins, as Sentry does (shared_integrations/client/base.py, 23.7.1), and does not limit the
	// body. Negative: no timeout.
	Timeout   time.Duration
	UserAgent string // empty: "silo"
}

// InstanceOptions returns the Options for the instance in dir. Each snapshot comes
// from the instance's control socket.
func InstanceOptions(dir *state.Dir) Options {
	return Options{Secrets: dir.Secrets, Snapshot: func(ctx context.Context) (*state.Snapshot, error) {
		supervisor, err := api.Dial(ctx, dir)
		if err != nil {
			return nil, err
		}
		defer supervisor.Close()
		return supervisor.Snapshot(ctx, false)
	}}
}

// Client makes requests to one silo. It keeps no connections between requests and
// needs no Close. It is safe for concurrent use.
type Client struct {
	name    string
	options Options
	http    *http.Client
}

// New returns a client for the silo with that name. Errors are an UnknownError, a
// RefusedError, or that of Options.Snapshot.
func New(ctx context.Context, name string, o Options) (*Client, error) {
	snapshot, err := o.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	silo, err := findSilo(snapshot, name)
	if err != nil {
		return nil, err
	}
	if err := o.From.mayCall(silo); err != nil {
		return nil, err
	}
	return &Client{name: name, options: o, http: &http.Client{
		Transport: &http.Transport{
			Proxy:              http.ProxyFromEnvironment,
			DisableKeepAlives:  true, // on a reused connection net/http may send a request twice
			DisableCompression: true, // so that a body is what the silo sent
		},
		CheckRedirect: checkRedirect,
	}}, nil
}

func findSilo(snapshot *state.Snapshot, name string) (state.Silo, error) {
	unknown := &UnknownError{Name: name}
	for _, s := range snapshot.Silos {
		if s.Name == name {
			return s, nil
		}
		unknown.Known = append(unknown.Known, s.Name)
	}
	return state.Silo{}, unknown
}

// Name returns the silo's name.
func (c *Client) Name() string { return c.name }

// checkRedirect follows only redirects of GET (shared_integrations/client/base.py, _request,
// 23.7.1), and as many as curl follows by default.
func checkRedirect(next *http.Request, before []*http.Request) error {
	if before[0].Method != http.MethodGet {
		return http.ErrUseLastResponse
	}
	if len(before) >= 30 {
		return errors.New("too many redirects")
	}
	next.Header.Del("Referer") // net/http derives it from a URL that it cannot parse
	return nil
}
