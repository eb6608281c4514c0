package tunnels

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net/http"
	"net/netip"
	"slices"

	"silo/proxy"
)

// authHandler enforces allow_cidrs and basic_auth, as ngrok's service does.
type authHandler struct {
	name     string
	networks []netip.Prefix
	hashes   [][sha256.Size]byte // hashes of "user:password", so that all have the same length
	next     http.Handler
}

// newAuthHandler returns a handler that enforces the options of spec before calling
// next.
func newAuthHandler(spec Spec, next http.Handler) (http.Handler, error) {
	if len(spec.AllowCIDRs) == 0 && len(spec.BasicAuth) == 0 {
		return next, nil
	}
	h := &authHandler{name: spec.Name, next: next}
	for _, text := range spec.AllowCIDRs {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, &Error{Code: codeOptions, Text: fmt.Sprintf("allow_cidrs: %q is not a network", text), Class: Fatal}
		}
		h.networks = append(h.networks, network.Masked())
	}
	for _, credentials := range spec.BasicAuth {
		h.hashes = append(h.hashes, sha256.Sum256([]byte(credentials)))
	}
	return h, nil
}

func (h *authHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !h.allowed(r.RemoteAddr) {
		h.deny(w, http.StatusForbidden, "your address is not in allow_cidrs of silo "+h.name)
		return
	}
	if len(h.hashes) > 0 {
		if !h.authenticated(r) {
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Basic realm="silo %s", charset="UTF-8"`, h.name))
			h.deny(w, http.StatusUnauthorized, "silo "+h.name+" requires a user name and a password (basic_auth)")
			return
		}
		r.Header.Del("Authorization") // the silo would treat it as its own credentials
	}
	h.next.ServeHTTP(w, r)
}

func (h *authHandler) allowed(remote string) bool {
	if len(h.networks) == 0 {
		return true
	}
	addr, err := netip.ParseAddrPort(remote)
	return err == nil && slices.ContainsFunc(h.networks, func(network netip.Prefix) bool {
		return network.Contains(addr.Addr().Unmap().WithZone(""))
	})
}

// authenticated compares credentials in constant time.
func (h *authHandler) authenticated(r *http.Request) bool {
	user, password, ok := r.BasicAuth()
	hash, known := sha256.Sum256([]byte(user+":"+password)), 0
	for _, other := range h.hashes {
		known |= subtle.ConstantTimeCompare(hash[:], other[:])
	}
	return ok && known == 1
}

func (h *authHandler) deny(w http.ResponseWriter, status int, why string) {
	w.Header().Set(proxy.ErrorHeader, string(proxy.Denied))
	w.Header().Set("Cache-Control", "no-store")
	http.Error(w, why, status)
}
