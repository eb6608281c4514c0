package sentry

import (
	"cmp"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// public are the settings of Sentry and Django for the addresses that browsers use.
// Settings that do not apply are empty.
type public struct {
	URLPrefix    string   // system.url-prefix
	URLTemplate  string   // system.region-api-url-template
	Hosts        []string // ALLOWED_HOSTS
	Origins      []string // CSRF_TRUSTED_ORIGINS from Django 4.0 on: with scheme
	OriginHosts  []string // CSRF_TRUSTED_ORIGINS before: only hosts
	CookieDomain string   // of the session, CSRF and sudo cookies
}

// public derives the settings. On loopback only the prefix is set.
func (c Config) public() public {
	var all []*url.URL
	for _, address := range c.publicURLs() {
		if at, err := url.Parse(address); err == nil && at.Hostname() != "" && !isLocal(at.Hostname()) {
			all = append(all, at)
		}
	}
	p := public{URLPrefix: urlPrefixOption(c.publicURLs()[0])}
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
	// The hosts of this machine, as in Sentry's own devserver --ngrok.
	p.Hosts = append(p.Hosts, "localhost", "127.0.0.1", ".docker.internal")
	return p
}

// publicURLs are the addresses of control and then of the regions.
func (c Config) publicURLs() []string {
	all := []string{cmp.Or(c.ControlPublic, c.ControlURL)}
	for _, r := range c.Regions {
		all = append(all, r.publicURL())
	}
	return all
}

func (r Region) publicURL() string { return cmp.Or(r.Public, r.URL) }

// urlPrefixOption returns system.url-prefix, or "" for an https address with a port above 1024,
// because devserver would then serve https itself (sentry/runner/commands/devserver.py,
// needs_https, up to 24).
func urlPrefixOption(control string) string {
	at, err := url.Parse(control)
	if err != nil || at.Host == "" {
		return ""
	}
	if port, _ := strconv.Atoi(at.Port()); at.Scheme == "https" && port > 1024 {
		return ""
	}
	return control
}

// urlTemplate returns the common template of all regions' addresses, or "".
func (c Config) urlTemplate() string {
	template := ""
	for i, r := range c.Regions {
		scheme, host, _ := strings.Cut(r.publicURL(), "://")
		rest, ok := strings.CutPrefix(host, r.Name+".")
		this := scheme + "://{region}." + rest
		if !ok || i > 0 && this != template {
			return ""
		}
		template = this
	}
	return template
}

func isLocal(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || err == nil && (ip.IsLoopback() || ip.IsUnspecified())
}

// sharedBase returns the longest domain that contains all addresses, and their port
// with its colon. shared reports whether browsers accept a cookie for this domain,
// which they do unless it is on the public suffix list.
func sharedBase(all []*url.URL) (base, port string, shared bool) {
	labels := strings.Split(all[0].Hostname(), ".")
	for _, at := range all {
		if _, err := netip.ParseAddr(at.Hostname()); err == nil || at.Scheme != all[0].Scheme || at.Port() != all[0].Port() {
			return "", "", false
		}
		labels = commonSuffix(labels, strings.Split(at.Hostname(), "."))
	}
	base = strings.Join(labels, ".")
	if all[0].Port() != "" {
		port = ":" + all[0].Port()
	}
	suffix, _ := publicsuffix.PublicSuffix(base)
	return base, port, base != "" && suffix != base
}

func commonSuffix(a, b []string) []string {
	n := 0
	for n < min(len(a), len(b)) && a[len(a)-1-n] == b[len(b)-1-n] {
		n++
	}
	return slices.Clone(a[len(a)-n:])
}
