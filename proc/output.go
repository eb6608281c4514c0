package proc

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// OutputMax is how many bytes Output keeps of what a command prints.
const OutputMax = 1 << 20

// errorTail is how much of a failed command's standard error its error quotes.
const errorTail = 2 << 10

// ExitError is what Output returns for a command that ran and failed.
type ExitError struct {
	Program string
	Exit    Exit
	Stderr  string // the end of its standard error
}

func (e *ExitError) Error() string {
	text := fmt.Sprintf("%s: %v", e.Program, e.Exit)
	if e.Stderr != "" {
		text += ": " + e.Stderr
	}
	return text
}

// Output runs a command in a session of its own, without standard input, and
// returns its standard output, at most OutputMax bytes of it, also beside an error.
// A command that fails is an *ExitError. When ctx ends the command's process group
// is killed, and the error wraps the context's cause, unless the command had
// succeeded. A descendant that holds the output delays it by two seconds at most.
func Output(ctx context.Context, argv []string, dir string, env []string) ([]byte, error) {
	cmd, err := command(argv, dir, env)
	if err != nil {
		return nil, err
	}
	stdout, stderr := &keeper{head: OutputMax}, &keeper{tail: errorTail}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.WaitDelay = drainLimit
	closeOnExec()
	if err := ours.spawn(cmd); err != nil {
		return nil, startError(cmd, argv[0], err)
	}
	over := make(chan Exit, 1)
	go func() { over <- ours.wait(cmd) }()
	var exit Exit
	select {
	case exit = <-over:
	case <-ctx.Done():
		_ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL) // it may be over by now
		exit = <-over
	}
	switch {
	case exit.Code == 0:
		return stdout.Bytes(), nil
	case ctx.Err() != nil:
		return stdout.Bytes(), fmt.Errorf("run %q: %w", argv[0], context.Cause(ctx))
	}
	return stdout.Bytes(), &ExitError{Program: argv[0], Exit: exit, Stderr: strings.TrimSpace(string(stderr.Bytes()))}
}

// keeper keeps the first bytes written to it, or the last, and takes all.
type keeper struct {
	head, tail int
	buffer     bytes.Buffer
}

func (k *keeper) Write(block []byte) (int, error) {
	kept := block
	if k.head > 0 {
		kept = kept[:min(len(kept), k.head-k.buffer.Len())]
	}
	k.buffer.Write(kept)
	if over := k.buffer.Len() - 2*k.tail; k.tail > 0 && over > 0 {
		k.buffer.Next(over)
	}
	return len(block), nil
}

func (k *keeper) Bytes() []byte {
	all := k.buffer.Bytes()
	if k.tail > 0 && len(all) > k.tail {
		return all[len(all)-k.tail:]
	}
	return all
}
