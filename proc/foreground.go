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

// foregroundGrace is what a command has between TERM and KILL when its context ends.
const foregroundGrace = 10 * time.Second

// What Foreground returns for a command that cannot be run, as shells have it.
const (
	CodeNotExecutable = 126
	CodeNotFound      = 127
)

// Foreground runs a command as a shell would: on this process's terminal, in its
// process group, and with its exit code, 128 plus the signal's number where a
// signal ended it. Interrupts typed on the terminal reach the command from the
// kernel; this process survives them. Signals that were sent to this process alone
// are passed on. When ctx ends the command gets TERM, and KILL ten seconds later:
// hand in a ctx that an interrupt does not end, or an interactive command cannot
// take one. The error is not nil only where the command did not run: then code is
// 127 if it was not found, else 126.
//
// Readers and writers that are files are handed over as they are. env and dir are
// as in Spec.
func Foreground(ctx context.Context, argv []string, dir string, env []string, stdin io.Reader, stdout, stderr io.Writer) (code int, err error) {
	cmd, err := command(argv, dir, env)
	if err != nil {
		return RefusalCode(err), err
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, stderr
	cmd.WaitDelay = drainLimit
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGHUP, unix.SIGUSR1, unix.SIGUSR2)
	defer signal.Stop(signals)
	if err := ours.spawn(cmd); err != nil {
		err = startError(cmd, argv[0], err)
		return RefusalCode(err), err
	}
	over := make(chan Exit, 1)
	go func() { over <- ours.wait(cmd) }()
	return attend(ctx, cmd, signals, over).Code, nil
}

// attend passes signals on until the command is over.
func attend(ctx context.Context, cmd *exec.Cmd, signals <-chan os.Signal, over <-chan Exit) Exit {
	ended := ctx.Done()
	var patience <-chan time.Time
	for {
		select {
		case exit := <-over:
			return exit
		case received := <-signals:
			if typed := received == unix.SIGINT || received == unix.SIGQUIT; !typed || !onTerminal() {
				_ = cmd.Process.Signal(received) // it may be over by now
			}
		case <-ended:
			ended = nil
			patience = time.After(foregroundGrace)
			_ = cmd.Process.Signal(unix.SIGTERM)
			_ = cmd.Process.Signal(unix.SIGCONT)
		case <-patience:
			_ = cmd.Process.Kill()
		}
	}
}

// onTerminal tells whether this process's group is in the foreground of a
// terminal, so that what is typed there reaches all of the group.
func onTerminal() bool {
	terminal, err := os.Open("/dev/tty")
	if err != nil {
		return false
	}
	defer func() { _ = terminal.Close() }()
	group, err := unix.IoctlGetInt(int(terminal.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// RefusalCode is the exit code for a command that cannot be run because of err,
// which is Find's or Foreground's: 127 if it was not found, else 126.
func RefusalCode(err error) int {
	if errors.Is(err, ErrNotFound) {
		return CodeNotFound
	}
	return CodeNotExecutable
}

// Detach starts a process that outlives this one: in a session of its own, with
// /dev/null as standard input, log as standard output and error, and extra, if not
// nil, as descriptor 3. The caller keeps log and extra, and closes them. Detach
// does not wait for the process, but reaps it should it end first.
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
	if err := ours.spawn(cmd); err != nil {
		return 0, startError(cmd, argv[0], err)
	}
	// Owned by nobody on purpose: it lasts as long as the process or this one.
	go func() {
		awaitExit(cmd.Process.Pid)
		ours.wait(cmd)
	}()
	return cmd.Process.Pid, nil
}
