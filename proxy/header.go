package proxy

import (
	"net"
	"net/http"
	"net/url"
	"strings"
)

// outgoing is a client's request as it is sent to base. It shares body, trailers
// and the values of headers with the one that came.
func (p *Proxy) outgoing(in *http.Request, base *url.URL) *http.Request {
	out := in.WithContext(in.Context())
	at := *in.URL
	at.Scheme, at.Host = base.Scheme, base.Host
	out.URL, out.Close = &at, false
	out.Header = endToEnd(in.Header)
	if in.ContentLength == 0 {
		out.Body = nil // a transport takes any other for one that it cannot send twice
	}
	// That trailers are understood is said hop by hop, and true.
	if hasToken(in.Header["Te"], "trailers") {
		out.Header["Te"] = []string{"trailers"}
	}
	if upgrade := upgradeOf(in.Header); upgrade != "" && in.ProtoMajor == 1 {
		out.Header["Connection"], out.Header["Upgrade"] = []string{"Upgrade"}, []string{upgrade}
	}
	if p.options.Rules == nil {
		out.Host = p.hostFor(in, base)
		p.introduce(out, in)
	} else {
		out.Host = base.Host
		if p.options.Rules.Request != nil {
			p.options.Rules.Request(out, in)
		}
	}
	return out
}

func (p *Proxy) hostFor(in *http.Request, base *url.URL) string {
	switch p.options.HostHeader {
	case "", HostPreserve:
		return in.Host
	case HostRewrite:
		return base.Host
	}
	return p.options.HostHeader
}

// hopByHop are the fields that speak of one connection (RFC 9110, section 7.6.1),
// with those that clients send all the same. A field that Connection names is one
// too.
func hopByHop(name string) bool {
	switch name {
	case "Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection",
		"Te", "Trailer", "Transfer-Encoding", "Upgrade":
		return true
	}
	return false
}

// endToEnd is a header without its hop-by-hop fields, with room for introduce's. It
// shares the values.
func endToEnd(header http.Header) http.Header {
	kept := make(http.Header, len(header)+6)
	named := header["Connection"]
	for name, values := range header {
		if !hopByHop(name) && (len(named) == 0 || !hasToken(named, name)) {
			kept[name] = values
		}
	}
	return kept
}

// strip takes the hop-by-hop fields out of a header.
func strip(header http.Header) {
	named := header["Connection"]
	for name := range header {
		if hopByHop(name) || len(named) > 0 && hasToken(named, name) {
			delete(header, name)
		}
	}
}

// upgradeOf is the protocol that a header asks to go on in, or empty. An upgrade
// to HTTP/2 was never much used and is withdrawn (RFC 9113, section 3.1): it is
// answered as it may be, in the protocol that was spoken so far.
func upgradeOf(header http.Header) string {
	if len(header["Upgrade"]) == 0 || !hasToken(header["Connection"], "Upgrade") {
		return ""
	}
	protocol := header.Get("Upgrade")
	if strings.EqualFold(protocol, "h2c") || strings.ContainsFunc(protocol, func(c rune) bool { return c < ' ' || c > '~' }) {
		return ""
	}
	return protocol
}

// introduce tells the silo of the client. What the client said of itself stands
// only where a trusted front has said it.
func (p *Proxy) introduce(out, in *http.Request) {
	client, _, err := net.SplitHostPort(in.RemoteAddr)
	if err != nil {
		client = ""
	}
	proto := "http"
	if in.TLS != nil {
		proto = "https"
	}
	said := [...]struct{ name, value string }{
		{"X-Forwarded-For", client},
		{"X-Forwarded-Host", in.Host},
		{"X-Forwarded-Proto", proto},
		{"Forwarded", ""},
	}
	if !p.options.TrustForwarded {
		said[3].value = forwardedAs(client, in.Host, proto)
	}
	for _, s := range said {
		switch _, came := in.Header[s.name]; {
		case p.options.TrustForwarded && came:
			out.Header[s.name] = in.Header[s.name] // also where Connection names it
		case s.value == "":
			delete(out.Header, s.name)
		default:
			out.Header[s.name] = []string{s.value}
		}
	}
}

// forwardedAs is the value of a Forwarded field (RFC 7239, section 4).
func forwardedAs(client, host, proto string) string {
	if client == "" {
		client = "unknown"
	}
	if strings.Contains(client, ":") {
		client = `"[` + client + `]"`
	}
	value := "for=" + client
	if host != "" && !strings.ContainsAny(host, `"\`) {
		value += `;host="` + host + `"`
	}
	return value + ";proto=" + proto
}
