package orchestrator

import (
	"sync"
	"time"

	"silo/state"
)

const (
	// saveInterval bounds how often the snapshots of starting silos are saved.
	saveInterval = 250 * time.Millisecond
	// saveRetry is the wait before saving is retried.
	saveRetry = time.Second
)

// saver writes the latest snapshot to disk whenever it changes, so that it survives the
// supervisor. It skips snapshots that are replaced before it can write them.
type saver struct {
	dir  *state.Dir
	hub  *snapshotHub
	warn func(string)
	quit chan struct{}
	done sync.WaitGroup
}

func startSaver(p *placement) *saver {
	s := &saver{dir: p.Dir, hub: p.hub, warn: p.Warn, quit: make(chan struct{})}
	s.done.Go(s.run)
	return s
}

func (s *saver) run() {
	failing := false
	for {
		latest := s.hub.latest.Load()
		err := s.dir.Save(latest.snapshot)
		if err != nil && !failing {
			s.warn("the silos keep running, but their state is not saved: " + err.Error())
		}
		failing = err != nil
		var retry <-chan time.Time
		if failing {
			retry = time.After(saveRetry)
		}
		select {
		case <-latest.replaced:
		case <-retry:
		case <-s.quit:
			return
		}
		if !s.pauseWhileStarting() {
			return
		}
	}
}

// pauseWhileStarting waits for saveInterval, or until the instance is no longer
// starting: when many silos start, they publish thousands of snapshots. It returns
// false when the saver is stopped.
func (s *saver) pauseWhileStarting() bool {
	pause := time.After(saveInterval)
	for {
		latest := s.hub.latest.Load()
		if latest.snapshot.State != state.InstanceStarting {
			return true
		}
		select {
		case <-latest.replaced:
		case <-pause:
			return true
		case <-s.quit:
			return false
		}
	}
}

// stop ends the saver and saves the last snapshot.
func (s *saver) stop(last *state.Snapshot) error {
	close(s.quit)
	s.done.Wait()
	return s.dir.SaveLast(last)
}
