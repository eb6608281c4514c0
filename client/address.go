package client

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"silo/state"
)

// target is where a silo is to be called, at one moment.
type target struct {
	base     *url.URL // scheme and host alone
	ngrok    bool     // base is a tunnel of the ngrok service
	snapshot *state.Snapshot
}

// target asks where the silo is now.
func (c *Client) findTarget(ctx context.Context) (target, error) {
	snapshot, err := c.options.Snapshot(ctx)
	if err != nil {
		return target{}, err
	}
	i := slices.IndexFunc(snapshot.Silos, func(s state.Silo) bool { return s.Name == c.name })
	if i < 0 {
		return target{}, unknownSilo(c.name, snapshot)
	}
	silo := snapshot.Silos[i]
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
	at := target{base: &url.URL{Scheme: base.Scheme, Host: base.Host}, snapshot: snapshot}
	at.ngrok = !c.options.Direct && (snapshot.Provider == "ngrok" || ngrokHost(base.Hostname()))
	return at, nil
}

// ngrokHost tells whether a host is one of the ngrok service's own domains.
func ngrokHost(host string) bool {
	return slices.ContainsFunc([]string{".ngrok.app", ".ngrok.dev", ".ngrok-free.app", ".ngrok-free.dev", ".ngrok.io", ".ngrok.pizza"},
		func(suffix string) bool { return strings.HasSuffix(strings.ToLower(host), suffix) })
}

// skipWarning, with whatever value, keeps ngrok from asking a browser first
// whether it means to go there (ERR_NGROK_6024).
const skipWarningHeader = "Ngrok-Skip-Browser-Warning" //nolint:gosec // a header, and no password

// to is the URL of a path and its query, which are sent as they are written.
func (t target) resolve(path string) *url.URL {
	at := *t.base
	at.Path, at.RawQuery, at.ForceQuery = path, "", false
	if before, query, asked := strings.Cut(path, "?"); asked {
		at.Path, at.RawQuery, at.ForceQuery = before, query, query == ""
	}
	written := at.Path
	if plain, err := url.PathUnescape(written); err == nil {
		at.Path, at.RawPath = plain, written
	}
	if at.EscapedPath() != written && !strings.HasPrefix(written, "//") {
		at.Opaque = written // net/url would spell it otherwise
	}
	return &at
}

// text is a URL in full, also one that to has made.
func urlString(u *url.URL) string {
	if u.Opaque == "" || u.Host == "" {
		return u.String()
	}
	return u.Scheme + "://" + u.Host + u.RequestURI()
}
