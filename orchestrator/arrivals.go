package orchestrator

import (
	"context"
	"slices"
	"sync"
	"time"

	"silo/ports"
)

const (
	// sweepEvery is how long nobody asks whether something listens by now, and
	// sweepEach how long for each port that is waited for: to ask takes some 3 µs.
	sweepEvery = 2 * time.Millisecond
	sweepEach  = 20 * time.Microsecond

	// wayLimit is how long a launch gives way: a devserver may take a request long
	// before it answers.
	wayLimit = 10 * time.Millisecond
)

// arrivals tells who waits for a silo when something listens on its port. The kernel
// does not say so by itself. One goroutine asks it for all ports: a silo's own would
// have to wait longer in between, for there are as many as silos.
type arrivals struct {
	workers *sync.WaitGroup // counts that goroutine

	mu       sync.Mutex // guards all below
	waiting  []*arrival
	sweeping bool          // the goroutine is there; it ends when nobody waits
	met      int           // arrivals that have come and have not been seen off
	none     chan struct{} // closed once there is none of those; nil: there is none now
}

type arrival struct {
	port int
	come chan struct{} // closed when something listens, or the kernel does not tell
}

// await waits until something listens on a port, for as long as bound or until ctx
// ends. Where the kernel does not tell it hardly waits. True: it has come, and is to
// be seen off when it has been asked.
func (a *arrivals) await(ctx context.Context, port int, bound time.Duration) (come bool) {
	one := &arrival{port, make(chan struct{})}
	a.join(one)
	timer := time.NewTimer(bound)
	defer timer.Stop()
	select {
	case <-one.come:
	case <-timer.C:
	case <-ctx.Done():
	}
	return !a.leave(one)
}

func (a *arrivals) join(one *arrival) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.waiting = append(a.waiting, one)
	if !a.sweeping {
		a.sweeping = true
		a.workers.Go(a.sweep)
	}
}

// leave ends a wait. False: it was over, since it has come.
func (a *arrivals) leave(one *arrival) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.drop(one)
}

// drop needs mu.
func (a *arrivals) drop(one *arrival) bool {
	i := slices.Index(a.waiting, one)
	if i < 0 {
		return false
	}
	a.waiting = slices.Delete(a.waiting, i, i+1)
	return true
}

// meet tells those who wait for a port that something listens there.
func (a *arrivals) meet(one *arrival) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.drop(one) {
		return // nobody waits any more
	}
	if a.met++; a.none == nil {
		a.none = make(chan struct{})
	}
	close(one.come)
}

func (a *arrivals) seenOff() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.met--; a.met == 0 {
		close(a.none)
		a.none = nil
	}
}

// giveWay waits a moment while there are arrivals that have not been asked: what is
// launched next would take the processor from them and from who asks them.
func (a *arrivals) giveWay() {
	a.mu.Lock()
	none := a.none
	a.mu.Unlock()
	if none == nil {
		return
	}
	timer := time.NewTimer(wayLimit)
	defer timer.Stop()
	select {
	case <-none:
	case <-timer.C:
	}
}

func (a *arrivals) sweep() {
	for {
		waiting := a.all()
		if len(waiting) == 0 {
			return
		}
		asked := make([]int, len(waiting))
		for i, one := range waiting {
			asked[i] = one.port
		}
		silent := ports.Silent(asked...)
		for _, one := range waiting {
			if !slices.Contains(silent, one.port) {
				a.meet(one)
			}
		}
		<-time.After(max(sweepEvery, time.Duration(len(waiting))*sweepEach))
	}
}

// all are those that wait; if nobody does, the sweep is over.
func (a *arrivals) all() []*arrival {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sweeping = len(a.waiting) > 0
	return slices.Clone(a.waiting)
}
