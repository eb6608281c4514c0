package proc

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// foregroundGrace is the time between TERM and KILL when a command's context ends.
const foregroundGrace = 10 * time.Second

// The exit codes for a command that cannot be run, as in shells.
const (
	CodeNotExecutable = 126
	CodeNotFound      = 127
)

// Foreground runs a command like a shell: on this process's terminal, in its process
// group and with its exit code, 128 plus the number of the signal if a signal ended it.
// The kernel sends an interrupt that is typed on the terminal to the command; this
// process survives it. Signals that were sent only to this process are passed on. When
// ctx ends the command gets TERM, and KILL ten seconds later; an interrupt must not end
// ctx, or an interactive command cannot handle it. The error is non-nil only if the
// command did not run; code is then 127 if it was not found, else 126.
//
// Files among the readers and writers are passed to the command directly. env and dir
// are as in Spec.
func Foreground(ctx context.Context, argv []string, dir string, env []string, stdin io.Reader, stdout, stderr io.Writer) (code int, err error) {
	cmd, err := command(argv, dir, env)
	if err != nil {
		return RefusalCode(err), err
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, stderr
	cmd.WaitDelay = drainTimeout
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGHUP, unix.SIGUSR1, unix.SIGUSR2)
	defer signal.Stop(signals)
	if err := children.start(cmd); err != nil {
		err = startError(cmd, argv[0], err)
		return RefusalCode(err), err
	}
	exited := make(chan Exit, 1)
	go func() { exited <- children.wait(cmd) }()
	return forwardSignals(ctx, cmd, signals, exited).Code, nil
}

// forwardSignals passes signals on until the command ends.
func forwardSignals(ctx context.Context, cmd *exec.Cmd, signals <-chan os.Signal, exited <-chan Exit) Exit {
	done := ctx.Done()
	var graceOver <-chan time.Time
	for {
		select {
		case exit := <-exited:
			return exit
		case received := <-signals:
			if typed := received == unix.SIGINT || received == unix.SIGQUIT; !typed || !onTerminal() {
				_ = cmd.Process.Signal(received) // it may have ended
			}
		case <-done:
			done = nil
			graceOver = time.After(foregroundGrace)
			_ = cmd.Process.Signal(unix.SIGTERM)
			_ = cmd.Process.Signal(unix.SIGCONT)
		case <-graceOver:
			_ = cmd.Process.Kill()
		}
	}
}

// onTerminal reports whether this process's group is the foreground group of a
// terminal, so that typed interrupts reach the whole group.
func onTerminal() bool {
	terminal, err := os.Open("/dev/tty")
	if err != nil {
		return false
	}
	defer func() { _ = terminal.Close() }()
	group, err := unix.IoctlGetInt(int(terminal.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// RefusalCode returns the exit code for an error of Find or Foreground: 127 if the
// command was not found, else 126.
func RefusalCode(err error) int {
	if errors.Is(err, ErrNotFound) {
		return CodeNotFound
	}
	return CodeNotExecutable
}

// Detach starts a process that outlives this one, in its own session, with /dev/null as
// standard input, log as standard output and error, and extra, if not nil, as
// descriptor 3. The caller closes log and extra. Detach does not wait for the process,
// but reaps it if it ends first.
func Detach(argv, env []string, dir string, log, extra *os.File) (pid int, err error) {
	cmd, err := command(argv, dir, env)
	if err != nil {
		return 0, err
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if log != nil {
		cmd.Stdout, cmd.Stderr = log, log
	}
	if extra != nil {
		cmd.ExtraFiles = []*os.File{extra}
	}
	closeOnExec()
	if err := children.start(cmd); err != nil {
		return 0, startError(cmd, argv[0], err)
	}
	// Nothing waits for this goroutine: it runs until either process exits.
	go func() {
		awaitExit(cmd.Process.Pid)
		children.wait(cmd)
	}()
	return cmd.Process.Pid, nil
}
