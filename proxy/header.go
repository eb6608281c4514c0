package proxy

import (
	"net"
	"net/http"
	"net/url"
	"strings"
)

// outgoing is a client's request as it is sent to host. It shares body, trailers
// and the values of headers with the one that came.
func (p *Proxy) outgoing(in *http.Request, scheme, host string) *http.Request {
	made := &struct { // in one piece
		request http.Request
		at      url.URL
	}{*in, *in.URL}
	out := &made.request
	out.URL, out.Close = &made.at, false
	out.URL.Scheme, out.URL.Host = scheme, host
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
		out.Host = p.hostFor(in, host)
		p.introduce(out, in)
	} else {
		out.Host = host
		if p.options.Rules.Request != nil {
			p.options.Rules.Request(out, in)
		}
	}
	return out
}

func (p *Proxy) hostFor(in *http.Request, host string) string {
	switch p.options.HostHeader {
	case "", HostPreserve:
		return in.Host
	case HostRewrite:
		return host
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
	said := introductionOf(in)
	for i, name := range [...]string{"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded"} {
		switch _, came := in.Header[name]; {
		case p.options.TrustForwarded && came:
			out.Header[name] = in.Header[name] // also where Connection names it
		case said.values[i] == "", p.options.TrustForwarded && name == "Forwarded":
			delete(out.Header, name)
		default:
			out.Header[name] = said.values[i : i+1 : i+1]
		}
	}
}

// introduction is what introduce says, for all requests of a connection to one host.
type introduction struct {
	host   string
	values [4]string // empty: nothing
}

// introductionOf finds the introduction of a request's connection, or makes it.
func introductionOf(in *http.Request) *introduction {
	peer, served := in.Context().Value(peerKey{}).(*peer)
	if served {
		if said := peer.introduction.Load(); said != nil && said.host == in.Host {
			return said
		}
	}
	client, _, err := net.SplitHostPort(in.RemoteAddr)
	if err != nil {
		client = ""
	}
	proto := "http"
	if in.TLS != nil {
		proto = "https"
	}
	said := &introduction{in.Host, [...]string{client, in.Host, proto, forwardedAs(client, in.Host, proto)}}
	if served {
		peer.introduction.Store(said)
	}
	return said
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
