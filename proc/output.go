package proc

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// OutputMax is how many bytes of a command's output Output returns.
const OutputMax = 1 << 20

// maxStderr is how many bytes of a failed command's standard error its error quotes.
const maxStderr = 2 << 10

// ExitError is returned by Output for a command that ran and failed.
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

// Output runs a command in its own session, without standard input, and returns up to
// OutputMax bytes of its standard output, even on error. If the command fails, the
// error is an *ExitError. When ctx ends, the command's process group is killed, and the
// error wraps the context's cause, unless the command has succeeded. A descendant that
// has the output open delays Output by at most two seconds.
func Output(ctx context.Context, argv []string, dir string, env []string) ([]byte, error) {
	cmd, err := command(argv, dir, env)
	if err != nil {
		return nil, err
	}
	stdout, stderr := &boundedBuffer{head: OutputMax}, &boundedBuffer{tail: maxStderr}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.WaitDelay = drainTimeout
	closeOnExec()
	if err := children.start(cmd); err != nil {
		return nil, startError(cmd, argv[0], err)
	}
	stop := context.AfterFunc(ctx, func() { _ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL) })
	exit := children.wait(cmd)
	stop()
	switch {
	case exit.Code == 0:
		return stdout.Bytes(), nil
	case ctx.Err() != nil:
		return stdout.Bytes(), fmt.Errorf("run %q: %w", argv[0], context.Cause(ctx))
	}
	return stdout.Bytes(), &ExitError{Program: argv[0], Exit: exit, Stderr: strings.TrimSpace(string(stderr.Bytes()))}
}

// boundedBuffer keeps the first or the last bytes written to it.
type boundedBuffer struct {
	head, tail int
	buffer     bytes.Buffer
}

func (b *boundedBuffer) Write(block []byte) (int, error) {
	kept := block
	if b.head > 0 {
		kept = kept[:min(len(kept), b.head-b.buffer.Len())]
	}
	b.buffer.Write(kept)
	if excess := b.buffer.Len() - 2*b.tail; b.tail > 0 && excess > 0 {
		b.buffer.Next(excess)
	}
	return len(block), nil
}

func (b *boundedBuffer) Bytes() []byte {
	all := b.buffer.Bytes()
	if b.tail > 0 && len(all) > b.tail {
		return all[len(all)-b.tail:]
	}
	return all
}
