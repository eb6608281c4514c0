package console

import (
	"context"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"
)

// Keys passes each typed key to this process at once and without an echo. Ctrl-C and Ctrl-Z
// stay signals. restore undoes that. It may be called again.
func (t *Console) Keys() (restore func(), m Modes, err error) {
	if m.Before, err = modesOf(t.in); err != nil {
		return nil, m, err
	}
	fd := int(t.in.Fd())
	before, err := unix.IoctlGetTermios(fd, getTermios)
	if err != nil {
		return nil, m, err
	}
	mode := *before
	mode.Lflag &^= unix.ICANON | unix.ECHO
	mode.Cc[unix.VMIN], mode.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(fd, setTermios, &mode); err != nil {
		return nil, m, err
	}
	m.After, err = modesOf(t.in)
	return func() {
		if t.Foreground() { // otherwise the terminal is the shell's, and the call would stop this process
			_ = unix.IoctlSetTermios(fd, setTermios, before) // it may be closed
		}
	}, m, err
}

// pollInterval is the longest wait for a key before ReadKeys looks at its context.
const pollInterval = 250 * time.Millisecond

// ReadKeys sends the typed keys until ctx ends or the terminal is closed. It reads only
// while this process is in the foreground, since the kernel would stop it otherwise.
func (t *Console) ReadKeys(ctx context.Context, keys chan<- byte) {
	fd := int(t.in.Fd())
	for ctx.Err() == nil {
		ready := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}} //nolint:gosec // G115: a descriptor is 32 bits
		n, err := unix.Poll(ready, int(pollInterval.Milliseconds()))
		switch {
		case err != nil || n == 0:
			continue
		case !t.Foreground():
			select {
			case <-time.After(pollInterval):
			case <-ctx.Done():
			}
			continue
		}
		var block [16]byte
		n, err = unix.Read(fd, block[:])
		if err != nil || n == 0 {
			return
		}
		for _, key := range block[:n] {
			select {
			case keys <- key:
			case <-ctx.Done():
				return
			}
		}
	}
}

// Suspensions returns a channel that receives when the user types Ctrl-Z, until stop is
// called. This process then has to call Suspend.
func Suspensions() (typed <-chan os.Signal, stop func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGTSTP)
	return signals, func() { signal.Stop(signals) }
}

// Suspend stops this process until the shell continues it. It does nothing without a parent
// in this session, which alone could do that.
func Suspend() {
	own, err := unix.Getsid(0)
	if parent, parentErr := unix.Getsid(os.Getppid()); err != nil || parentErr != nil || parent != own {
		return
	}
	continued := make(chan os.Signal, 1)
	signal.Notify(continued, unix.SIGCONT)
	defer signal.Stop(continued)
	_ = unix.Kill(os.Getpid(), unix.SIGSTOP) // this thread may run on for a moment
	<-continued
}
