package proc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"

	"silo/wait"
)

// BecomeSubreaper makes this process the parent of its orphaned descendants
// (PR_SET_CHILD_SUBREAPER, prctl(2)), so that none can escape by a double fork or a new
// session. Call it once, before Start, and run Reap. If it fails, trees are still found
// by session and marker.
//
// Reaping requires that every child of this process is started by this package.
func BecomeSubreaper() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become the subreaper: %w", err)
	}
	children.mu.Lock()
	defer children.mu.Unlock()
	children.subreaper = true
	return nil
}

// reapDelay lets a burst of exits pass before one reap of them all.
const reapDelay = 50 * time.Millisecond

// Reap reaps adopted orphans as they end, until ctx ends. It sleeps until a child ends,
// and never reaps a child that this process has started.
func Reap(ctx context.Context) {
	exits := make(chan os.Signal, 1)
	signal.Notify(exits, unix.SIGCHLD)
	defer signal.Stop(exits)
	for {
		reapOrphans()
		select {
		case <-ctx.Done():
			return
		case <-exits:
		}
		if !wait.Sleep(ctx, reapDelay) {
			return
		}
	}
}

// reapOrphans reaps the adopted orphans that have ended.
func reapOrphans() {
	orphans, _ := children.adopted()
	for _, pid := range orphans {
		for {
			if _, err := unix.Wait4(pid, nil, unix.WNOHANG, nil); !errors.Is(err, unix.EINTR) {
				break
			}
		}
	}
}
