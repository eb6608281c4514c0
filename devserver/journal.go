package devserver

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// journal writes what uWSGI writes: its own lines and one a request, as they
// are, to standard error. With daemons honcho collects everybody's lines, puts a
// time and a name before each, and writes them to standard output.
type journal struct {
	daemons bool
	prefix  bool
	width   int // of the longest name

	mu       sync.Mutex // guards both writers
	out, err io.Writer
}

// Names of what honcho runs (sentry/runner/commands/devserver.py).
const (
	nameSystem  = "system"
	nameServer  = "server"
	nameWebpack = "webpack"
	nameWorker  = "worker"
	nameCron    = "cron"
)

func newJournal(o Options, given arguments) *journal {
	j := &journal{daemons: given.daemons(), prefix: given.prefix, width: len(nameSystem), out: o.Stdout, err: o.Stderr}
	if given.watchers {
		j.width = len(nameWebpack)
	}
	return j
}

// uwsgi writes a line of the web server.
func (j *journal) uwsgi(format string, args ...any) {
	j.write(false, nameServer, fmt.Sprintf(format, args...))
}

// ready writes the line that tells uWSGI's readiness. There is no interpreter.
func (j *journal) ready(took time.Duration) {
	j.uwsgi("WSGI app 0 (mountpoint='') ready in %d seconds on interpreter 0x0 pid: %d (default app)", int(took.Seconds()), os.Getpid())
}

// daemon writes a line of something beside the web server.
func (j *journal) daemon(name, format string, args ...any) {
	j.write(false, name, fmt.Sprintf(format, args...))
}

// say writes a line of the app to standard output.
func (j *journal) say(format string, args ...any) {
	j.write(true, nameServer, fmt.Sprintf(format, args...))
}

// request writes one answered request (the log-format of devserver.py).
func (j *journal) request(method string, status int, uri, proto string, size int64) {
	line := fmt.Sprintf("%s %d %s %s %d", method, status, uri, proto, size)
	if !j.daemons {
		line = time.Now().Format("[02/Jan/2006:15:04:05 -0700] ") + line
	}
	j.write(false, nameServer, line)
}

// write puts a whole line out at once. Nobody could be told of its failure.
func (j *journal) write(stdout bool, name, line string) {
	if j.daemons && j.prefix {
		line = fmt.Sprintf("%s %-*s | %s", time.Now().Format("15:04:05"), j.width, name, line)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if stdout || j.daemons {
		fmt.Fprintln(j.out, line)
		return
	}
	fmt.Fprintln(j.err, line)
}
