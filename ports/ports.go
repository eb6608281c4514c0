// Package ports reserves loopback ports, holds them until they are handed over, and
// finds the processes that use them.
//
// It must not know what a port is for.
package ports

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"slices"
	"strings"
	"sync"
)

const maxPort = 65535

// Request describes one port, or two consecutive ones.
type Request struct {
	Name  string // unique among the requests of a call
	Port  int    // the preferred first port; 0: any free one
	Fixed bool   // only Port itself is acceptable
	Span  int    // 1 (also 0): Port; 2: Port and Port+1
}

// Reservation is a set of ports that are held open on both loopback addresses, so
// that no other process can take them. Its methods may be called from any goroutine.
type Reservation struct {
	only  []Request      // if not nil, only these requests occupy ports (for Assign)
	ports map[string]int // read-only once Reserve has returned

	mu   sync.Mutex                // guards held
	held map[string][]net.Listener // by name; IPv4 first; nil once handed over
}

// Reserve reserves a port for every request, or none at all. A port is taken if a
// socket listens on it on 127.0.0.1, on ::1 (if the machine has IPv6) or on a
// wildcard address.
//
// If a fixed port is taken, the error is a Conflicts with all of them. Other requests
// get the port they prefer. If that is taken, they get the next free one above it, in
// steps of Span, that no other request prefers, or, as a last resort, any free port. If
// two requests prefer the same port, the first one gets it. The caller must call Close.
func Reserve(ctx context.Context, requests []Request) (*Reservation, error) {
	requests, err := validate(requests)
	if err != nil {
		return nil, err
	}
	r := &Reservation{ports: map[string]int{}, held: map[string][]net.Listener{}}
	if err := r.place(ctx, requests); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// Assign returns the ports that Reserve would reserve if no process used any. It checks
// the machine's ports only for requests that accept any free port.
func Assign(ctx context.Context, requests []Request) (map[string]int, error) {
	requests, err := validate(requests)
	if err != nil {
		return nil, err
	}
	r := &Reservation{only: requests, ports: map[string]int{}, held: map[string][]net.Listener{}}
	return r.ports, errors.Join(r.place(ctx, requests), r.Close())
}

func validate(requests []Request) ([]Request, error) {
	requests = slices.Clone(requests)
	names := map[string]bool{}
	for i, q := range requests {
		if q.Span == 0 {
			q.Span = 1
		}
		switch {
		case names[q.Name]:
			return nil, fmt.Errorf("reserve ports: two requests are named %q", q.Name)
		case q.Span != 1 && q.Span != 2:
			return nil, fmt.Errorf("reserve ports for %s: invalid span %d", q.Name, q.Span)
		case q.Port < 0 || q.Port+q.Span-1 > maxPort || q.Fixed && q.Port == 0:
			return nil, fmt.Errorf("reserve ports for %s: invalid port %d", q.Name, q.Port)
		}
		names[q.Name] = true
		requests[i] = q
	}
	return requests, nil
}

// place serves the most constrained requests first: fixed ports, then preferences that
// are free, then the rest.
func (r *Reservation) place(ctx context.Context, requests []Request) error {
	if err := r.placeFixed(ctx, requests); err != nil {
		return err
	}
	for _, q := range requests {
		if q.Fixed || q.Port == 0 {
			continue
		}
		if _, err := r.try(ctx, q, q.Port); err != nil {
			return err
		}
	}
	for _, q := range requests {
		if _, placed := r.ports[q.Name]; placed {
			continue
		}
		if err := r.placeAnywhere(ctx, q); err != nil {
			return err
		}
	}
	return nil
}

func (r *Reservation) placeFixed(ctx context.Context, requests []Request) error {
	var conflicts Conflicts
	for _, q := range requests {
		if !q.Fixed {
			continue
		}
		listeners, taken, err := r.listen(ctx, q.Port, q.Span)
		if err != nil {
			return fmt.Errorf("reserve port %d for %s: %w", q.Port, q.Name, err)
		}
		for _, port := range taken {
			conflict := Conflict{Name: q.Name, Port: port, With: r.requestOn(requests, port)}
			if conflict.With == "" {
				if holders := Holders(port); len(holders) > 0 {
					conflict.Holder = &holders[0]
				}
			}
			conflicts = append(conflicts, conflict)
		}
		if len(taken) == 0 {
			r.hold(q.Name, q.Port, listeners)
		}
	}
	if conflicts == nil {
		return nil
	}
	return conflicts
}

// listen calls listenSpan or, for Assign, only checks the other requests.
func (r *Reservation) listen(ctx context.Context, port, span int) (listeners []net.Listener, taken []int, err error) {
	if r.only == nil {
		return listenSpan(ctx, port, span)
	}
	for p := port; p < port+span; p++ {
		if r.requestOn(r.only, p) != "" {
			taken = append(taken, p)
		}
	}
	return nil, taken, nil
}

// requestOn returns the name of the request that has already received a port.
func (r *Reservation) requestOn(requests []Request, port int) string {
	for _, q := range requests {
		if first, placed := r.ports[q.Name]; placed && port >= first && port < first+q.Span {
			return q.Name
		}
	}
	return ""
}

// maxSteps is how many ports above the preferred one are tried.
const maxSteps = 1000

func (r *Reservation) placeAnywhere(ctx context.Context, q Request) error {
	if q.Port != 0 {
		for step := 1; step <= maxSteps && q.Port+step*q.Span+q.Span-1 <= maxPort; step++ {
			if placed, err := r.try(ctx, q, q.Port+step*q.Span); placed || err != nil {
				return err
			}
		}
	}
	port, listeners, err := listenAny(ctx, q.Span)
	if err != nil {
		return fmt.Errorf("reserve a port for %s: %w", q.Name, err)
	}
	r.hold(q.Name, port, listeners)
	return nil
}

// try takes a port if it is free and this user may listen on it.
func (r *Reservation) try(ctx context.Context, q Request, port int) (bool, error) {
	listeners, taken, err := r.listen(ctx, port, q.Span)
	if errors.Is(err, fs.ErrPermission) || len(taken) > 0 {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reserve port %d for %s: %w", port, q.Name, err)
	}
	r.hold(q.Name, port, listeners)
	return true, nil
}

func (r *Reservation) hold(name string, port int, listeners []net.Listener) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ports[name], r.held[name] = port, listeners
}

// Port returns the first port that was reserved for name, or 0 if there was no such
// request.
func (r *Reservation) Port(name string) int { return r.ports[name] }

// Holds reports whether the ports of name have been neither released nor handed over.
func (r *Reservation) Holds(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.held[name]) > 0
}

// Release closes the ports of name, so that another process can listen on them. It does
// nothing if they have already been handed over.
func (r *Reservation) Release(name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	listeners, requested := r.held[name]
	if !requested {
		return fmt.Errorf("release ports of %s: none were reserved", name)
	}
	r.held[name] = nil
	return closeAll(listeners)
}

// Listener returns the listener on 127.0.0.1, which the caller then closes, and
// closes the one on ::1. It fails for a span of two, and after Release.
func (r *Reservation) Listener(name string) (net.Listener, error) {
	listeners, err := r.Listeners(name)
	if err != nil {
		return nil, err
	}
	return listeners[0], closeAll(listeners[1:])
}

// Listeners returns the listeners on 127.0.0.1 and, if the machine has IPv6, on ::1, in
// this order. It is otherwise like Listener.
func (r *Reservation) Listeners(name string) ([]net.Listener, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	listeners := r.held[name]
	if len(listeners) == 0 {
		return nil, fmt.Errorf("hand over the port of %s: it is not held", name)
	}
	if portOf(listeners[len(listeners)-1]) != portOf(listeners[0]) {
		return nil, fmt.Errorf("hand over the port of %s: the request has two", name)
	}
	r.held[name] = nil
	return listeners, nil
}

// Close closes every port that has not been handed over. It may be called again.
func (r *Reservation) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var err error
	for name, listeners := range r.held {
		err = errors.Join(err, closeAll(listeners))
		r.held[name] = nil
	}
	return err
}

// Conflict is a fixed port that is taken.
type Conflict struct {
	Name   string  // of the request
	Port   int     // which of its ports
	With   string  // the other request of the same call that has the port, if any
	Holder *Holder // the listening process; nil if unknown, such as another user's
}

// String returns "port 8000 of control is taken by python3 (pid 4711)".
func (c Conflict) String() string {
	text := fmt.Sprintf("port %d of %s is taken", c.Port, c.Name)
	switch {
	case c.With != "":
		text += " by " + c.With
	case c.Holder != nil:
		text += fmt.Sprintf(" by %s (pid %d)", c.Holder.Program, c.Holder.PID)
	}
	return text
}

// Conflicts are the taken fixed ports of one call, in the order of the requests.
type Conflicts []Conflict //nolint:errname // callers use it as a list as well

// Error lists all conflicts.
func (c Conflicts) Error() string {
	texts := make([]string, len(c))
	for i, conflict := range c {
		texts[i] = conflict.String()
	}
	return strings.Join(texts, "; ")
}
