package tunnels

import (
	"cmp"
	"context"
	_ "embed" // the page
	"html/template"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"

	"silo/proxy"
)

// HostRouter serves all tunnels of Local on one address and routes each request by
// its Host header. It is for browsers, which resolve *.localhost themselves (RFC
// 6761, section 6.3); few other clients do. Its methods may be called from any
// goroutine.
type HostRouter struct {
	mu      sync.Mutex // guards all below
	routes  []*route
	stops   []context.CancelFunc
	serving sync.WaitGroup
	closed  bool
}

type route struct {
	hosts   []string // in lower case; the first one is displayed
	handler http.Handler
}

// NewHostRouter returns a HostRouter that has no routes and does not listen yet.
func NewHostRouter() *HostRouter { return &HostRouter{} }

// Serve serves on listeners, which it owns, until Close. It does not block, and the end of ctx
// does not stop it. warn receives a line if a listener fails, and the log messages of
// proxy.Serve, from other goroutines.
func (h *HostRouter) Serve(ctx context.Context, listeners []net.Listener, warn func(line string)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, listener := range listeners {
		if h.closed {
			_ = listener.Close()
			continue
		}
		life, stop := context.WithCancel(context.WithoutCancel(ctx))
		h.stops = append(h.stops, stop)
		h.serving.Go(func() {
			if err := proxy.Serve(life, listener, h, warn); err != nil {
				warn("browsers no longer find silos by name: " + err.Error())
			}
		})
	}
}

// Close closes the listeners. It waits until all goroutines of the HostRouter have
// ended, but no longer than ctx or 2 s. It is idempotent.
func (h *HostRouter) Close(ctx context.Context) error {
	h.stop()
	done := make(chan struct{})
	go func() { h.serving.Wait(); close(done) }() // bounded by proxy.Serve's grace
	return awaitClose(ctx, done, "the address for browsers")
}

// stop starts closing, without waiting.
func (h *HostRouter) stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for _, stop := range h.stops {
		stop()
	}
}

// add adds a route for each non-empty host.
func (h *HostRouter) add(hosts []string, handler http.Handler) (remove func()) {
	r := &route{handler: handler}
	for _, host := range hosts {
		if host != "" {
			r.hosts = append(r.hosts, strings.ToLower(host))
		}
	}
	if len(r.hosts) == 0 {
		return func() {}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.routes = append(h.routes, r)
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.routes = slices.DeleteFunc(h.routes, func(other *route) bool { return other == r })
	}
}

// find returns the handler for a host, or nil and all known hosts.
func (h *HostRouter) find(host string) (http.Handler, []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var known []string
	for _, r := range h.routes {
		if slices.Contains(r.hosts, host) {
			return r.handler, nil
		}
		known = append(known, r.hosts[0])
	}
	slices.SortFunc(known, func(a, b string) int { // control's comes first: it has the fewest labels
		return cmp.Or(cmp.Compare(strings.Count(a, "."), strings.Count(b, ".")), cmp.Compare(a, b))
	})
	return nil, known
}

// cookieDomain returns the shortest known host that is host or contains it, if it
// contains other known hosts, else "".
func (h *HostRouter) cookieDomain(host string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	base, shared := host, false
	for _, r := range h.routes {
		for _, other := range r.hosts {
			if strings.HasSuffix(host, "."+other) && len(other) < len(base) {
				base, shared = other, true
			}
			shared = shared || strings.HasSuffix(other, "."+host)
		}
	}
	if !shared {
		return ""
	}
	return base
}

func (h *HostRouter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host, port, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host // without a port
	}
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	handler, known := h.find(name)
	if handler != nil {
		if domain := h.cookieDomain(name); domain != "" {
			w = &cookieWriter{w, domain}
		}
		handler.ServeHTTP(w, r)
		return
	}
	if port != "" {
		port = ":" + port
	}
	for i, name := range known {
		known[i] = "http://" + name + port + "/"
	}
	writeUnknownHost(w, r, host, known)
}

//go:embed hostrouter.html
var unknownHostText string

var unknownHostPage = template.Must(template.New("unknown host").Parse(unknownHostText))

func writeUnknownHost(w http.ResponseWriter, r *http.Request, host string, known []string) {
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Vary", "Accept")
	if !strings.Contains(r.Header.Get("Accept"), "text/html") {
		http.Error(w, "no silo has the host "+host+"; known addresses:\n"+strings.Join(known, "\n"), http.StatusNotFound)
		return
	}
	header.Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(http.StatusNotFound)
	_ = unknownHostPage.Execute(w, map[string]any{"Host": host, "Known": known}) // fails only if the client has disconnected
}
