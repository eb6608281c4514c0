package devserver

import (
	"os"
	"sync"
	"sync/atomic"
)

// reloader holds the current config and reloads it.
type reloader struct {
	path    string
	current atomic.Pointer[config]

	mu     sync.Mutex // guards loaded, and serializes reloads
	loaded os.FileInfo
}

// reloadIfChanged loads the config again if the file has changed. uWSGI's py-autoreload
// checks every second; this checks before each request. An error ends the process.
func (s *server) reloadIfChanged() error {
	if !s.args.reload {
		return nil
	}
	s.conf.mu.Lock()
	defer s.conf.mu.Unlock()
	now := statConf(s.conf.path)
	if now == nil || sameFile(now, s.conf.loaded) {
		return nil
	}
	s.log.uwsgi("[uwsgi-python-reloader] module/file %s has been modified", s.conf.path)
	return s.load(now)
}

// reload loads the config whether or not it has changed, as uWSGI does on SIGHUP.
func (s *server) reload() error {
	s.conf.mu.Lock()
	defer s.conf.mu.Unlock()
	return s.load(statConf(s.conf.path))
}

// load requires conf.mu. uWSGI restarts under the same PID and exits with 22 if it
// cannot load the app (need-app).
func (s *server) load(now os.FileInfo) error {
	s.log.uwsgi("...gracefully killing workers...")
	s.log.uwsgi("binary reloading uWSGI...")
	fresh, err := loadConf(s.conf.path)
	if err == nil {
		err = s.id.check(fresh)
	}
	if err != nil {
		return &ExitError{Code: exitNoApp, Text: err.Error() +
			"\nunable to load app 0 (mountpoint='') (callable not found or import error)\n*** no app loaded. GAME OVER ***"}
	}
	s.conf.loaded = now
	s.conf.current.Store(fresh)
	s.log.ready(0)
	return nil
}
