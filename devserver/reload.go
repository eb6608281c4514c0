package devserver

import (
	"context"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"silo/wait"
)

const (
	// lookInterval is how often the file is checked (devserver.py: py-autoreload = 1).
	lookInterval = time.Second
	// closedTime is how long the app's port is closed during a reload. uWSGI closes it
	// when it executes itself.
	closedTime = 50 * time.Millisecond
	// reloadTime is how long the app needs after that before it answers, unless --delay is
	// longer.
	reloadTime = 150 * time.Millisecond
)

// reloader holds the current config and reloads it.
type reloader struct {
	path    string
	current atomic.Pointer[config]
	loaded  os.FileInfo // owned by the server's loop
}

// confChanged reports whether sentry.conf.py differs from the one that was loaded. A
// missing file does not: some editors remove it before they write it again.
func (s *server) confChanged() bool {
	now := statConf(s.conf.path)
	return s.args.reload && now != nil && !sameFile(now, s.conf.loaded)
}

// reload does what uWSGI does: it closes the app's port and all its connections, restarts
// under the same PID, and opens the port again. Requests then wait until the app is
// loaded. uWSGI exits with 22 if it cannot load the app (need-app).
func (s *server) reload(ctx context.Context) error {
	now := statConf(s.conf.path)
	if s.confChanged() {
		s.log.uwsgi("[uwsgi-python-reloader] module/file %s has been modified", s.conf.path)
	}
	s.log.uwsgi("...gracefully killing workers...")
	s.loaded.Store(new(make(chan struct{})))
	last := len(s.servers) - 1
	closeAll(ctx, []*http.Server{s.servers[last]})
	s.servers = s.servers[:last]
	if !wait.Sleep(ctx, closedTime) {
		return nil
	}
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
	listener, err := listen(ctx, address{s.bind.host, s.backend})
	if err == nil {
		s.answer(ctx, listener, false)
	}
	return err
}
