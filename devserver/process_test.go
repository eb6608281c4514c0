package devserver

import (
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"silo/wait/waittest"
)

// process starts the test binary as a devserver.
func process(t *testing.T, args ...string) (*exec.Cmd, *silo) {
	t.Helper()
	s := &silo{t: t, out: newTap(), err: newTap()}
	command := exec.CommandContext(t.Context(), os.Args[0], args...)
	command.Env = append(os.Environ(), asChild+"=1", "GORACE=atexit_sleep_ms=0", "SENTRY_SILO_MODE=", "SENTRY_CONF="+conf(t, ""), "SENTRY_DEVSERVER_BIND=127.0.0.1:0")
	command.Stdout, command.Stderr = s.out, s.err
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	s.ended = make(chan struct{})
	go func() { defer close(s.ended); s.result = command.Wait() }()
	t.Cleanup(func() { _ = command.Process.Kill(); waittest.Receive(t, s.ended, "end of the process") })
	s.bound()
	s.err.wait(t, `^WSGI app 0 `)
	return command, s
}

func TestSignals(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			command, s := process(t)
			send(t, command, sig)
			if err := s.end(); err != nil {
				t.Errorf("%v\n%s", err, s.err)
			}
		})
	}
}

// TestHangup checks that SIGHUP reloads the config and does not end the process, even if
// other code handles it too.
func TestHangup(t *testing.T) {
	t.Parallel()
	command, s := process(t)
	send(t, command, syscall.SIGHUP)
	s.err.wait(t, `^binary reloading uWSGI\.\.\.\nWSGI app 0 `)
	if got := decode[self](t, s.get("/whoami").body); got.PID != command.Process.Pid {
		t.Errorf("pid %d, want %d", got.PID, command.Process.Pid)
	}
}

// TestIgnore sends signals that --ignore names.
func TestIgnore(t *testing.T) {
	t.Parallel()
	command, s := process(t, "--ignore=TERM,HUP")
	send(t, command, syscall.SIGTERM)
	send(t, command, syscall.SIGHUP)
	if got := s.get("/_health/"); got.status != 200 {
		t.Errorf("status %d", got.status)
	}
	send(t, command, syscall.SIGINT)
	if err := s.end(); err != nil {
		t.Errorf("%v\n%s", err, s.err)
	}
}

// TestHangupWithBrokenConfig checks that a failed reload ends the process.
func TestHangupWithBrokenConfig(t *testing.T) {
	t.Parallel()
	command, s := process(t)
	rewrite(t, confDir(command), "X = (\n")
	send(t, command, syscall.SIGHUP)
	if err := s.end(); command.ProcessState.ExitCode() != exitNoApp {
		t.Errorf("%v, want exit status %d\n%s", err, exitNoApp, s.err)
	}
}

func TestExitStatus(t *testing.T) {
	t.Parallel()
	_, s := process(t, "--exit-after=50ms", "--exit-code=42")
	err := s.end()
	if exit, isExit := errors.AsType[*exec.ExitError](err); !isExit || exit.ExitCode() != 42 {
		t.Errorf("%v\n%s", err, s.err)
	}
}

// confDir returns the directory of the command's sentry.conf.py.
func confDir(command *exec.Cmd) string {
	i := slices.IndexFunc(command.Env, func(entry string) bool { return strings.HasPrefix(entry, "SENTRY_CONF=") })
	return strings.TrimPrefix(command.Env[i], "SENTRY_CONF=")
}

func send(t *testing.T, command *exec.Cmd, sig syscall.Signal) {
	t.Helper()
	if err := command.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}
