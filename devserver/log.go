package devserver

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// logger writes uWSGI's log lines to standard error, and one line for each request. With
// daemons, honcho collects all lines, prefixes each with a time and a name, and writes
// them to standard output.
type logger struct {
	daemons bool
	prefix  bool
	width   int // of the longest name

	mu             sync.Mutex // guards both writers
	stdout, stderr io.Writer
}

// Names of honcho's processes (sentry/runner/commands/devserver.py).
const (
	nameSystem  = "system"
	nameServer  = "server"
	nameWebpack = "webpack"
	nameWorker  = "worker"
	nameCron    = "cron"
)

func newLogger(o Options, args arguments) *logger {
	l := &logger{daemons: args.daemons(), prefix: args.prefix, width: len(nameSystem), stdout: o.Stdout, stderr: o.Stderr}
	if args.watchers {
		l.width = len(nameWebpack)
	}
	return l
}

// uwsgi logs a line of the web server.
func (l *logger) uwsgi(format string, args ...any) {
	l.write(l.stderr, nameServer, fmt.Sprintf(format, args...))
}

// ready writes uWSGI's line for a loaded app. The interpreter's address is 0x0, because
// there is none.
func (l *logger) ready(took time.Duration) {
	l.uwsgi("WSGI app 0 (mountpoint='') ready in %d seconds on interpreter 0x0 pid: %d (default app)", int(took.Seconds()), os.Getpid())
}

// daemon logs a line of another process.
func (l *logger) daemon(name, format string, args ...any) {
	l.write(l.stderr, name, fmt.Sprintf(format, args...))
}

// app writes a line of the application to standard output.
func (l *logger) app(format string, args ...any) {
	l.write(l.stdout, nameServer, fmt.Sprintf(format, args...))
}

// request logs one answered request (the log-format of devserver.py).
func (l *logger) request(method string, status int, uri, proto string, size int64) {
	line := fmt.Sprintf("%s %d %s %s %d", method, status, uri, proto, size)
	if !l.daemons {
		line = time.Now().Format("[02/Jan/2006:15:04:05 -0700] ") + line
	}
	l.write(l.stderr, nameServer, line)
}

// write writes a whole line with a single call. If that fails, the line is lost.
func (l *logger) write(w io.Writer, name, line string) {
	if l.daemons {
		w = l.stdout
		if l.prefix {
			line = fmt.Sprintf("%s %-*s | %s", time.Now().Format("15:04:05"), l.width, name, line)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintln(w, line)
}
