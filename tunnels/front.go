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

// HostRouter is one address for all tunnels of Local, which hands each request to the
// tunnel whose host it names: for browsers, which resolve *.localhost by
// themselves (RFC 6761, section 6.3), as little else does. Its methods may be
// called from any goroutine; a nil HostRouter has nothing to close.
type HostRouter struct {
	mu      sync.Mutex // guards all below
	doors   []*door
	stops   []context.CancelFunc
	serving sync.WaitGroup
	closed  bool
}

// door is one tunnel behind a HostRouter.
type door struct {
	hosts   []string // in lower case; the first is the one to show
	handler http.Handler
}

// NewHostRouter makes a HostRouter with nothing behind it, which listens nowhere.
func NewHostRouter() *HostRouter { return &HostRouter{} }

// Serve serves on listeners, which it owns, until Close; it returns at once, and
// the end of ctx ends nothing. warn gets a line if a listener fails, and what
// proxy.Serve reports; it is called from other goroutines.
func (f *HostRouter) Serve(ctx context.Context, listeners []net.Listener, warn func(line string)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, listener := range listeners {
		if f.closed {
			_ = listener.Close() // nobody knows of it
			continue
		}
		life, stop := context.WithCancel(context.WithoutCancel(ctx))
		f.stops = append(f.stops, stop)
		f.serving.Go(func() {
			if err := proxy.Serve(life, listener, f, warn); err != nil {
				warn("browsers no longer find silos by name: " + err.Error())
			}
		})
	}
}

// Close closes what the HostRouter listens on. It waits until nothing of it runs, but
// never longer than ctx or 2 s, and is idempotent.
func (f *HostRouter) Close(ctx context.Context) error {
	if f == nil {
		return nil
	}
	f.end()
	done := make(chan struct{})
	go func() { f.serving.Wait(); close(done) }() // bounded by the grace of proxy.Serve
	return wait(ctx, done, "the address for browsers")
}

// end lets nothing begin any more and everything end.
func (f *HostRouter) end() {
	if f == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for _, stop := range f.stops {
		stop()
	}
}

// add puts a tunnel behind the HostRouter, and returns what takes it away.
func (f *HostRouter) add(hosts []string, handler http.Handler) (remove func()) {
	d := &door{handler: handler}
	for _, host := range hosts {
		if host != "" {
			d.hosts = append(d.hosts, strings.ToLower(host))
		}
	}
	if f == nil || len(d.hosts) == 0 {
		return func() {}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.doors = append(f.doors, d)
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.doors = slices.DeleteFunc(f.doors, func(other *door) bool { return other == d })
	}
}

// find is the tunnel that a Host field names, or nil, and the hosts that there are.
func (f *HostRouter) find(host string) (http.Handler, []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var known []string
	for _, d := range f.doors {
		if slices.Contains(d.hosts, host) {
			return d.handler, nil
		}
		known = append(known, d.hosts[0])
	}
	slices.SortFunc(known, func(a, b string) int { // control's, which is the shortest, first
		return cmp.Or(cmp.Compare(strings.Count(a, "."), strings.Count(b, ".")), cmp.Compare(a, b))
	})
	return nil, known
}

func (f *HostRouter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host, port, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host // without a port
	}
	handler, known := f.find(strings.ToLower(strings.TrimSuffix(host, ".")))
	if handler != nil {
		handler.ServeHTTP(w, r)
		return
	}
	if port != "" {
		port = ":" + port
	}
	page := unknown{Host: host}
	for _, name := range known {
		page.Known = append(page.Known, "http://"+name+port+"/")
	}
	page.write(w, r)
}

//go:embed front.html
var frontText string

var frontPage = template.Must(template.New("front").Parse(frontText))

// unknown is the answer where a request's host is no silo's.
type unknown struct {
	Host  string
	Known []string // addresses
}

func (u unknown) write(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Vary", "Accept")
	if !strings.Contains(r.Header.Get("Accept"), "text/html") {
		http.Error(w, "no silo is called "+u.Host+"; there are\n"+strings.Join(u.Known, "\n"), http.StatusNotFound)
		return
	}
	header.Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(http.StatusNotFound)
	_ = frontPage.Execute(w, u) // it fails where nobody reads any more
}
