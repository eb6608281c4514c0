package client

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"silo/state"
	"silo/topology"
)

// target is the current address of a silo.
type target struct {
	base     *url.URL // scheme and host only
	ngrok    bool     // base is a tunnel of the ngrok service
	snapshot *state.Snapshot
}

// findTarget returns the silo's current address.
func (c *Client) findTarget(ctx context.Context) (target, error) {
	snapshot, err := c.options.Snapshot(ctx)
	if err != nil {
		return target{}, err
	}
	silo, err := findSilo(snapshot, c.name)
	if err != nil {
		return target{}, err
	}
	address := silo.URL
	if c.options.Direct {
		host, _, err := net.SplitHostPort(silo.Bind)
		if err != nil {
			return target{}, fmt.Errorf("find the port of %s: %w", c.name, err)
		}
		address = "http://" + net.JoinHostPort(host, strconv.Itoa(silo.HealthPort))
	}
	base, err := url.Parse(address)
	if err != nil || base.Host == "" {
		return target{}, fmt.Errorf("%s has no address: %q", c.name, address)
	}
	return target{
		base:     &url.URL{Scheme: base.Scheme, Host: base.Host},
		ngrok:    !c.options.Direct && (snapshot.Provider == "ngrok" || topology.IsNgrokHost(base.Hostname())),
		snapshot: snapshot,
	}, nil
}

// skipWarningHeader, with any value, disables ngrok's browser warning
// (ERR_NGROK_6024).
const skipWarningHeader = "Ngrok-Skip-Browser-Warning" //nolint:gosec // a header, not a password

// resolve returns the URL of a path and its query, which are sent as written.
func (t target) resolve(path string) *url.URL {
	at := *t.base
	written, query, hasQuery := strings.Cut(path, "?")
	at.Path, at.RawQuery, at.ForceQuery = written, query, hasQuery && query == ""
	if decoded, err := url.PathUnescape(written); err == nil {
		at.Path, at.RawPath = decoded, written
	}
	if at.EscapedPath() != written && !strings.HasPrefix(written, "//") {
		at.Opaque = written // net/url would escape it differently
	}
	return &at
}

// urlString returns the full URL, even if resolve made it opaque.
func urlString(u *url.URL) string {
	if u.Opaque == "" || u.Host == "" {
		return u.String()
	}
	return u.Scheme + "://" + u.Host + u.RequestURI()
}
