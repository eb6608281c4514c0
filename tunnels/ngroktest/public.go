package ngroktest

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// errorHeader marks the service's own answers.
const errorHeader = "Ngrok-Error-Code"

// proxied is a public request for an endpoint, passed to dialAgent as a context value.
type proxied struct {
	binding *binding
	client  string // its address
}

type proxiedKey struct{}

// servePublic serves public clients on listener.
func (s *Service) servePublic(listener net.Listener) {
	forward := &httputil.ReverseProxy{
		Transport: s.transport,
		Rewrite: func(pr *httputil.ProxyRequest) {
			request, _ := pr.In.Context().Value(proxiedKey{}).(proxied)
			pr.Out.URL.Scheme = "http"
			pr.Out.URL.Host = request.binding.key // so that pooled connections are not shared with a later binding
			pr.Out.URL.RawQuery = pr.In.URL.RawQuery
			pr.SetXForwarded()
			// Clients always see the endpoint as https.
			pr.Out.Header.Set("X-Forwarded-Proto", "https")
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			refuse(w, http.StatusBadGateway, "ERR_NGROK_3004", err.Error())
		},
		ErrorLog: log.New(io.Discard, "", 0),
	}
	server := &http.Server{
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          log.New(io.Discard, "", 0),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if b := s.admit(w, r); b != nil {
				// Otherwise the rest of the body is lost once the agent starts to answer.
				_ = http.NewResponseController(w).EnableFullDuplex()
				forward.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), proxiedKey{}, proxied{b, r.RemoteAddr})))
			}
		}),
	}
	s.servers = append(s.servers, server)
	s.running.Go(func() { _ = server.Serve(listener) })
}

// admit returns the binding of a request's host. If the request is refused, it
// answers and returns nil.
func (s *Service) admit(w http.ResponseWriter, r *http.Request) *binding {
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	s.mu.Lock()
	b := s.bindings[strings.ToLower(host)]
	s.mu.Unlock()
	if b == nil {
		refuse(w, http.StatusNotFound, "ERR_NGROK_3200", "The endpoint "+host+" is offline.")
		return nil
	}
	if !allowed(b.AllowCIDRs, r.RemoteAddr) {
		refuse(w, http.StatusForbidden, "ERR_NGROK_3205", "Your IP address is not allowed.")
		return nil
	}
	if len(b.BasicAuth) > 0 {
		user, password, _ := r.BasicAuth()
		known := slices.ContainsFunc(b.BasicAuth, func(credential string) bool {
			return subtle.ConstantTimeCompare([]byte(credential), []byte(user+":"+password)) == 1
		})
		if !known {
			w.Header().Set("WWW-Authenticate", `Basic realm="ngrok"`)
			w.WriteHeader(http.StatusUnauthorized)
			return nil
		}
	}
	return b
}

func allowed(cidrs []string, remote string) bool {
	addr, err := netip.ParseAddrPort(remote)
	if len(cidrs) == 0 || err != nil {
		return len(cidrs) == 0
	}
	return slices.ContainsFunc(cidrs, func(cidr string) bool {
		prefix, err := netip.ParsePrefix(cidr)
		return err == nil && prefix.Contains(addr.Addr().Unmap())
	})
}

func refuse(w http.ResponseWriter, status int, code, text string) {
	w.Header().Set(errorHeader, code)
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	fmt.Fprintf(w, "%s\r\n\r\n%s\r\n", text, code) //nolint:gosec // plain text, to a test
}

// dialAgent opens a stream to the agent for the request in ctx.
func (s *Service) dialAgent(ctx context.Context, _, _ string) (net.Conn, error) {
	request, ok := ctx.Value(proxiedKey{}).(proxied)
	if !ok {
		return nil, errors.New("a dial without a public request")
	}
	return request.binding.open(request.client)
}
