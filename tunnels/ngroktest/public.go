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

// errorHeader is what the service marks its own answers with.
const errorHeader = "Ngrok-Error-Code"

type clientKey struct{}

// servePublic serves clients of the endpoints on listener.
func (s *Service) servePublic(listener net.Listener) {
	forward := &httputil.ReverseProxy{
		Transport: s.transport,
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.Out.URL.Scheme = "http"
			pr.Out.URL.Host = pr.In.Header.Get("X-Ngroktest-Bind")
			pr.Out.URL.RawQuery = pr.In.URL.RawQuery
			pr.Out.Header.Del("X-Ngroktest-Bind")
			pr.SetXForwarded()
			// The endpoint is https for the world, whichever listener stood in for it.
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
			if key, admitted := s.admit(w, r); admitted {
				// Or what is left of the body is lost once the agent begins to answer.
				_ = http.NewResponseController(w).EnableFullDuplex()
				r.Header.Set("X-Ngroktest-Bind", key)
				forward.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), clientKey{}, r.RemoteAddr)))
			}
		}),
	}
	s.servers = append(s.servers, server)
	s.running.Go(func() { _ = server.Serve(listener) })
}

// admit finds the endpoint of a request's host, or answers why there is none.
func (s *Service) admit(w http.ResponseWriter, r *http.Request) (key string, admitted bool) {
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	s.mu.Lock()
	b := s.binds[strings.ToLower(host)]
	s.mu.Unlock()
	if b == nil {
		refuse(w, http.StatusNotFound, "ERR_NGROK_3200", "The endpoint "+host+" is offline.")
		return "", false
	}
	if !allowed(b.AllowCIDRs, r.RemoteAddr) {
		refuse(w, http.StatusForbidden, "ERR_NGROK_3205", "Not from there.")
		return "", false
	}
	if len(b.BasicAuth) > 0 {
		user, password, _ := r.BasicAuth()
		known := slices.ContainsFunc(b.BasicAuth, func(credential string) bool {
			return subtle.ConstantTimeCompare([]byte(credential), []byte(user+":"+password)) == 1
		})
		if !known {
			w.Header().Set("WWW-Authenticate", `Basic realm="ngrok"`)
			w.WriteHeader(http.StatusUnauthorized)
			return "", false
		}
	}
	return b.key, true
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

// dialAgent connects to an endpoint. Its key stands in for the address, so that
// a connection is never reused for a later holder of the same host.
func (s *Service) dialAgent(ctx context.Context, _, addr string) (net.Conn, error) {
	key, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("endpoint %q: %w", addr, err)
	}
	client, _ := ctx.Value(clientKey{}).(string)
	s.mu.Lock()
	var found *bind
	for _, b := range s.binds {
		if strings.EqualFold(b.key, key) {
			found = b
		}
	}
	s.mu.Unlock()
	if found == nil {
		return nil, errors.New("the endpoint has gone")
	}
	return found.open(client)
}
