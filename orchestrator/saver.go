package orchestrator

import (
	"sync"
	"time"

	"silo/state"
)

// saver writes the latest snapshot to disk while a supervisor runs, so that
// what it knew outlives it. It writes when something has changed, and skips
// what has been overtaken meanwhile.
type saver struct {
	place *Placement
	quit  chan struct{}
	done  sync.WaitGroup
}

func startSaver(place *Placement) *saver {
	s := &saver{place: place, quit: make(chan struct{})}
	s.done.Go(s.run)
	return s
}

func (s *saver) run() {
	failing := false
	for {
		latest := s.place.board.latest.Load()
		if latest.snapshot != nil {
			err := s.place.Dir.Save(latest.snapshot)
			if err != nil && !failing {
				s.place.Warn("the silos live on, but their state is not recorded: " + err.Error())
			}
			failing = err != nil
		}
		var again <-chan time.Time
		if failing {
			again = time.After(saveAgain)
		}
		select {
		case <-latest.replaced:
		case <-again:
		case <-s.quit:
			return
		}
		if !s.rest() {
			return
		}
	}
}

// rest keeps a burst of changes from becoming a burst of files: hundreds of
// silos that start make thousands of snapshots. That they have started is
// recorded at once.
func (s *saver) rest() bool {
	timer := time.NewTimer(saveEvery)
	defer timer.Stop()
	for {
		latest := s.place.board.latest.Load()
		if latest.snapshot.State != state.InstanceStarting {
			return true
		}
		select {
		case <-latest.replaced:
		case <-timer.C:
			return true
		case <-s.quit:
			return false
		}
	}
}

// saveEvery bounds how often the state of silos that start is recorded.
const saveEvery = 250 * time.Millisecond

// saveAgain is how long a record that could not be written waits for the next try.
const saveAgain = time.Second

// stop ends the saver and records the last word.
func (s *saver) stop(last *state.Snapshot) error {
	close(s.quit)
	s.done.Wait()
	return s.place.Dir.Conclude(last)
}
