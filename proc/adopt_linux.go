package proc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// BecomeSubreaper makes this process the one to which its orphaned descendants come
// (PR_SET_CHILD_SUBREAPER, prctl(2)), so that none can leave by forking twice or
// by a session of its own. Call it once, before Start, and run Reap beside. Where
// it fails trees are still found by session and marker.
func BecomeSubreaper() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become the reaper of orphans: %w", err)
	}
	ours.mu.Lock()
	defer ours.mu.Unlock()
	ours.adopts = true
	return nil
}

// reapPause lets a burst of deaths pass before one look at all of them.
const reapPause = 50 * time.Millisecond

// Reap takes adopted orphans off the kernel's list as they end, until ctx does.
// It sleeps until a child ends, and never takes a child that this process started
// itself, through this package or through os/exec.
func Reap(ctx context.Context) {
	deaths := make(chan os.Signal, 1)
	signal.Notify(deaths, unix.SIGCHLD)
	defer signal.Stop(deaths)
	for {
		reapAdopted()
		select {
		case <-ctx.Done():
			return
		case <-deaths:
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(reapPause):
		}
	}
}

// reapAdopted reaps the orphans that have ended by now.
func reapAdopted() {
	for _, pid := range adoptedPIDs() {
		for {
			if _, err := unix.Wait4(pid, nil, unix.WNOHANG, nil); !errors.Is(err, unix.EINTR) {
				break
			}
		}
	}
}

// orphans are the adopted children, without those that somebody has started
// through os/exec behind this package's back.
func adoptedPIDs() []int {
	adopted, _ := ours.adopted()
	if len(adopted) == 0 {
		return nil
	}
	// No fork may be under way: a child is listed a moment before its descriptor is.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	own := held()
	return slices.DeleteFunc(adopted, func(pid int) bool { return own[pid] })
}

// held are the processes to which this one holds a descriptor: os has one of each
// child that it has started and not waited for (os/pidfd_linux.go).
func held() map[int]bool {
	pids := map[int]bool{}
	for _, fd := range numbers("/proc/self/fd") {
		if target, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd)); err != nil || !bytes.Contains([]byte(target), []byte("pidfd")) {
			continue
		}
		text, err := slurp("/proc/self/fdinfo/" + strconv.Itoa(fd))
		if err != nil {
			continue
		}
		for line := range bytes.Lines(text) {
			if number, ok := bytes.CutPrefix(line, []byte("Pid:")); ok {
				if pid, err := strconv.Atoi(string(bytes.TrimSpace(number))); err == nil {
					pids[pid] = true
				}
			}
		}
	}
	return pids
}
