package tunnels

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net/http"
	"net/netip"

	"silo/proxy"
)

// gate lets in whom a tunnel's options let in, as ngrok does at its own edge.
type gate struct {
	name     string
	networks []netip.Prefix
	sums     [][sha256.Size]byte // of "user:password": all of one length, whatever is compared
	next     http.Handler
}

// newGate puts the options of spec before next. It fails where one is no option.
func newGate(spec Spec, next http.Handler) (http.Handler, error) {
	if len(spec.AllowCIDRs) == 0 && len(spec.BasicAuth) == 0 {
		return next, nil
	}
	g := &gate{name: spec.Name, next: next}
	for _, text := range spec.AllowCIDRs {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, &Error{Code: codeOptions, Text: fmt.Sprintf("allow_cidrs: %q is no network", text), Class: Fatal}
		}
		g.networks = append(g.networks, network.Masked())
	}
	for _, credentials := range spec.BasicAuth {
		g.sums = append(g.sums, sha256.Sum256([]byte(credentials)))
	}
	return g, nil
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !g.near(r.RemoteAddr) {
		g.refuse(w, http.StatusForbidden, "allow_cidrs of silo "+g.name+" has no network of yours")
		return
	}
	if len(g.sums) > 0 {
		if !g.knows(r) {
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Basic realm="silo %s", charset="UTF-8"`, g.name))
			g.refuse(w, http.StatusUnauthorized, "silo "+g.name+" asks for a name and a password (basic_auth)")
			return
		}
		r.Header.Del("Authorization") // it was the tunnel's: the silo would take it for its own
	}
	g.next.ServeHTTP(w, r)
}

// near tells whether an address is of a network that is let in.
func (g *gate) near(remote string) bool {
	if len(g.networks) == 0 {
		return true
	}
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return false
	}
	for _, network := range g.networks {
		if network.Contains(at.Addr().Unmap().WithZone("")) {
			return true
		}
	}
	return false
}

// knows tells whether a request's credentials are among those that are let in, in
// a time that does not tell how much of them was right.
func (g *gate) knows(r *http.Request) bool {
	user, password, given := r.BasicAuth()
	sum, known := sha256.Sum256([]byte(user+":"+password)), 0
	for _, other := range g.sums {
		known |= subtle.ConstantTimeCompare(sum[:], other[:])
	}
	return given && known == 1
}

// refuse answers in the silo's place.
func (g *gate) refuse(w http.ResponseWriter, status int, why string) {
	w.Header().Set(proxy.ErrorHeader, string(proxy.Denied))
	w.Header().Set("Cache-Control", "no-store")
	http.Error(w, why, status)
}
