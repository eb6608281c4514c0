package sentry

import (
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// public is what Sentry and Django have to be told of the addresses that
// browsers reach the silos by. What does not apply is empty.
type public struct {
	URLPrefix    string   // system.url-prefix
	URLTemplate  string   // system.region-api-url-template
	Hosts        []string // ALLOWED_HOSTS
	Origins      []string // CSRF_TRUSTED_ORIGINS from Django 4.0 on: scheme and host
	OriginHosts  []string // the same before: hosts alone
	CookieDomain string   // of the session's, CSRF's and sudo's cookie
}

// public works these out. On loopback there is nothing to tell but the prefix.
func (c Config) public() public {
	var all []*url.URL
	for _, address := range c.publicURLs() {
		if at, err := url.Parse(address); err == nil && at.Hostname() != "" && !local(at.Hostname()) {
			all = append(all, at)
		}
	}
	p := public{URLPrefix: prefix(c.publicURLs()[0])}
	if len(all) == 0 {
		return p
	}
	p.URLTemplate = c.urlTemplate()
	base, port, shared := sharedBase(all)
	if shared && len(all) == len(c.Regions)+1 {
		p.CookieDomain = "." + base
		p.Hosts = []string{"." + base}
		p.Origins = []string{all[0].Scheme + "://*." + base + port, all[0].Scheme + "://" + base + port}
		p.OriginHosts = []string{"." + base + port}
	} else {
		for _, at := range all {
			p.Hosts = append(p.Hosts, at.Hostname())
			p.Origins = append(p.Origins, at.Scheme+"://"+at.Host)
			p.OriginHosts = append(p.OriginHosts, at.Host)
		}
	}
	// What a silo on this machine is called by, as Sentry's own devserver --ngrok has it.
	p.Hosts = append(p.Hosts, "localhost", "127.0.0.1", ".docker.internal")
	return p
}

// publicURLs are control's, then the regions'.
func (c Config) publicURLs() []string {
	all := []string{c.ControlPublic}
	if c.ControlPublic == "" {
		all[0] = c.ControlURL
	}
	for _, r := range c.Regions {
		all = append(all, r.publicURL())
	}
	return all
}

func (r Region) publicURL() string {
	if r.Public != "" {
		return r.Public
	}
	return r.URL
}

// prefix is system.url-prefix, where it can be set: devserver takes an https
// prefix with a port above 1024 for an order to serve https there itself
// (sentry/runner/commands/devserver.py, needs_https, to 24).
func prefix(control string) string {
	at, err := url.Parse(control)
	if err != nil || at.Host == "" {
		return ""
	}
	if port, _ := strconv.Atoi(at.Port()); at.Scheme == "https" && port > 1024 {
		return ""
	}
	return control
}

// urlTemplate is the one form that all regions' addresses have, if they have one.
func (c Config) urlTemplate() string {
	form := ""
	for i, r := range c.Regions {
		scheme, host, _ := strings.Cut(r.publicURL(), "://")
		rest, ok := strings.CutPrefix(host, r.Name+".")
		this := scheme + "://{region}." + rest
		if !ok || i > 0 && this != form {
			return ""
		}
		form = this
	}
	return form
}

func local(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || err == nil && (ip.IsLoopback() || ip.IsUnspecified())
}

// sharedBase is the longest domain that all addresses are in, and their port
// with its colon. It is shared where browsers let one site set a cookie for all
// of it, and nobody else is in it: where it is not on the public suffix list.
func sharedBase(all []*url.URL) (base, port string, shared bool) {
	labels := strings.Split(all[0].Hostname(), ".")
	for _, at := range all {
		if _, err := netip.ParseAddr(at.Hostname()); err == nil || at.Scheme != all[0].Scheme || at.Port() != all[0].Port() {
			return "", "", false
		}
		labels = commonEnd(labels, strings.Split(at.Hostname(), "."))
	}
	base = strings.Join(labels, ".")
	if all[0].Port() != "" {
		port = ":" + all[0].Port()
	}
	suffix, _ := publicsuffix.PublicSuffix(base)
	return base, port, base != "" && suffix != base
}

func commonEnd(a, b []string) []string {
	n := 0
	for n < min(len(a), len(b)) && a[len(a)-1-n] == b[len(b)-1-n] {
		n++
	}
	return slices.Clone(a[len(a)-n:])
}
