package devserver

import (
	"sync"
	"sync/atomic"
)

// reloader holds the config that is in force.
type reloader struct {
	file    confFile
	current atomic.Pointer[config]

	mu   sync.Mutex // guards seen, and lets one reload at a time run
	seen stamp
}

// refresh looks whether the file has changed, as uWSGI's py-autoreload does each
// second, and loads it if so. An error ends the process: see reload.
func (s *server) refresh() error {
	if !s.given.reload {
		return nil
	}
	s.conf.mu.Lock()
	defer s.conf.mu.Unlock()
	now := s.conf.file.stamp()
	if now.info == nil || now.sameAs(s.conf.seen) {
		return nil
	}
	s.journal.uwsgi("[uwsgi-python-reloader] module/file %s has been modified", s.conf.file.path)
	return s.load(now)
}

// reload loads the file whether it has changed or not: SIGHUP's order.
func (s *server) reload() error {
	s.conf.mu.Lock()
	defer s.conf.mu.Unlock()
	return s.load(s.conf.file.stamp())
}

// load is called with conf.mu held. uWSGI starts again with the same pid, and
// ends with 22 where the app cannot be loaded (need-app).
func (s *server) load(now stamp) error {
	s.journal.uwsgi("...gracefully killing workers...")
	s.journal.uwsgi("binary reloading uWSGI...")
	fresh, err := s.conf.file.load()
	if err == nil {
		err = s.who.check(fresh)
	}
	if err != nil {
		return &ExitError{Code: exitNoApp, Text: err.Error() +
			"\nunable to load app 0 (mountpoint='') (callable not found or import error)\n*** no app loaded. GAME OVER ***"}
	}
	s.conf.seen = now
	s.conf.current.Store(fresh)
	s.journal.ready(0)
	return nil
}
