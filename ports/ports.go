// Package ports reserves loopback ports, holds them until they are handed over,
// and names who holds a taken one.
//
// It knows sockets. It must not know who wants a port or what will be served
// there.
package ports

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
)

// last is the highest port there is.
const last = 65535

// Request is one thing that needs a port, or two that follow one another.
type Request struct {
	Name  string // unique among the wants of a call
	Port  int    // the first port; 0: any free one
	Fixed bool   // Port and no other
	Span  int    // 1 (also 0): Port; 2: Port and Port+1
}

// Reservation is ports that are held open on both loopback families, so that no
// other process can take them. Its methods may be called from any goroutine.
type Reservation struct {
	ports map[string]int // never changes once Reserve has returned

	mu   sync.Mutex                // guards held
	held map[string][]net.Listener // by name; IPv4 first; nil once handed over
}

// Reserve takes a port for every want, or none at all. A port counts as taken if
// somebody listens on it on 127.0.0.1, on ::1 (where the machine has IPv6) or on a
// wildcard address.
//
// A fixed port that is taken is a conflict; the error is then a Conflicts that
// names all of them. Other wants get the port they prefer; where that is taken,
// the next free one above in steps of Span, which is nobody else's preference, and
// beyond the last any free one. Where two prefer the same, the earlier want gets it.
// The caller ends the Reservation with Close.
func Reserve(ctx context.Context, wants []Request) (*Reservation, error) {
	wants, err := valid(wants)
	if err != nil {
		return nil, err
	}
	k, err := learn(ctx)
	if err != nil {
		return nil, fmt.Errorf("reserve ports: %w", err)
	}
	r := &Reservation{ports: map[string]int{}, held: map[string][]net.Listener{}}
	if err := r.place(ctx, k, wants); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

func valid(wants []Request) ([]Request, error) {
	wants = slices.Clone(wants)
	names := map[string]bool{}
	for i, w := range wants {
		if w.Span == 0 {
			w.Span = 1
		}
		switch {
		case names[w.Name]:
			return nil, fmt.Errorf("reserve ports: two wants are called %q", w.Name)
		case w.Span != 1 && w.Span != 2:
			return nil, fmt.Errorf("reserve ports for %s: a span of %d", w.Name, w.Span)
		case w.Port < 0 || w.Port+w.Span-1 > last || w.Fixed && w.Port == 0:
			return nil, fmt.Errorf("reserve ports for %s: no such port: %d", w.Name, w.Port)
		}
		names[w.Name] = true
		wants[i] = w
	}
	return wants, nil
}

// place serves the wants in the order of how little choice they have: the fixed,
// then those whose preference is free, then the rest.
func (r *Reservation) place(ctx context.Context, k kernel, wants []Request) error {
	if err := r.placeFixed(ctx, k, wants); err != nil {
		return err
	}
	for _, w := range wants {
		if w.Fixed || w.Port == 0 {
			continue
		}
		if _, err := r.try(ctx, k, w, w.Port); err != nil {
			return err
		}
	}
	for _, w := range wants {
		if _, placed := r.ports[w.Name]; placed {
			continue
		}
		if err := r.placeAnywhere(ctx, k, w); err != nil {
			return err
		}
	}
	return nil
}

func (r *Reservation) placeFixed(ctx context.Context, k kernel, wants []Request) error {
	var conflicts Conflicts
	for _, w := range wants {
		if !w.Fixed {
			continue
		}
		listeners, taken, err := k.hold(ctx, w.Port, w.Span)
		if err != nil {
			return fmt.Errorf("reserve port %d for %s: %w", w.Port, w.Name, err)
		}
		for _, port := range taken {
			conflicts = append(conflicts, Conflict{Name: w.Name, Port: port, With: r.owner(wants, port)})
		}
		if len(taken) == 0 {
			r.keep(w.Name, w.Port, listeners)
		}
	}
	if conflicts == nil {
		return nil
	}
	for i, c := range conflicts {
		if c.With != "" {
			continue
		}
		if holders := Holders(c.Port); len(holders) > 0 {
			conflicts[i].Holder = &holders[0]
		}
	}
	return conflicts
}

// owner is which want this reservation already holds a port for.
func (r *Reservation) owner(wants []Request, port int) string {
	for _, w := range wants {
		if first, placed := r.ports[w.Name]; placed && port >= first && port < first+w.Span {
			return w.Name
		}
	}
	return ""
}

// climb is how many ports above a preferred one are tried before any will do.
const climb = 1000

func (r *Reservation) placeAnywhere(ctx context.Context, k kernel, w Request) error {
	if w.Port != 0 {
		for port, tried := w.Port+w.Span, 0; port+w.Span-1 <= last && tried < climb; port, tried = port+w.Span, tried+1 {
			if placed, err := r.try(ctx, k, w, port); placed || err != nil {
				return err
			}
		}
	}
	port, listeners, err := k.holdAny(ctx, w.Span)
	if err != nil {
		return fmt.Errorf("reserve a port for %s: %w", w.Name, err)
	}
	r.keep(w.Name, port, listeners)
	return nil
}

// try takes a port if it can be had. One that this user may not have is as good as taken.
func (r *Reservation) try(ctx context.Context, k kernel, w Request, port int) (bool, error) {
	listeners, taken, err := k.hold(ctx, port, w.Span)
	if errors.Is(err, errForbidden) || len(taken) > 0 {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reserve port %d for %s: %w", port, w.Name, err)
	}
	r.keep(w.Name, port, listeners)
	return true, nil
}

func (r *Reservation) keep(name string, port int, listeners []net.Listener) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ports[name], r.held[name] = port, listeners
}

// Port is the first port that was reserved for name; 0 if there was no such want.
func (r *Reservation) Port(name string) int { return r.ports[name] }

// Holds tells whether the ports of name have neither been released nor handed over.
func (r *Reservation) Holds(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.held[name]) > 0
}

// Release gives the ports of name up, for the process that is started next to
// take. It does nothing if they have been handed over already.
func (r *Reservation) Release(name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	listeners, wanted := r.held[name]
	if !wanted {
		return fmt.Errorf("release ports of %s: none were reserved", name)
	}
	r.held[name] = nil
	return closeAll(listeners)
}

// Listener hands over the listener on 127.0.0.1, which is the caller's to close
// from now on; the one on ::1 is closed. It is for wants of one port that have not
// been released.
func (r *Reservation) Listener(name string) (net.Listener, error) {
	listeners, err := r.Listeners(name)
	if err != nil {
		return nil, err
	}
	return listeners[0], closeAll(listeners[1:])
}

// Listeners hands over the listeners on 127.0.0.1 and, where the machine has IPv6,
// on ::1, in this order; else it is as Listener.
func (r *Reservation) Listeners(name string) ([]net.Listener, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	listeners := r.held[name]
	if len(listeners) == 0 {
		return nil, fmt.Errorf("hand over the port of %s: it is not held", name)
	}
	if portOf(listeners[len(listeners)-1]) != portOf(listeners[0]) {
		return nil, fmt.Errorf("hand over the port of %s: there are two", name)
	}
	r.held[name] = nil
	return listeners, nil
}

// Close gives up every port that has not been handed over. It may be called again.
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

// Conflict is a fixed port that cannot be had.
type Conflict struct {
	Name   string  // the want
	Port   int     // which of its ports
	With   string  // the other want that has it, if it is one of the same call
	Holder *Holder // who listens there; nil where the kernel does not tell, as of other users' processes
}

// String is "port 8000 of control is taken by python3 (pid 4711)".
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

// Conflicts are all fixed ports of a call that cannot be had, in the order of the wants.
type Conflicts []Conflict //nolint:errname // it is the list that callers go through, and an error besides

// Error names every conflict.
func (c Conflicts) Error() string {
	texts := make([]string, len(c))
	for i, conflict := range c {
		texts[i] = conflict.String()
	}
	return strings.Join(texts, "; ")
}
