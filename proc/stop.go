package proc

import (
	"context"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// killTimeout bounds how long Stop keeps trying to kill processes that do not die, such as
// one in uninterruptible sleep or of another user.
const killTimeout = 5 * time.Second

// Result is how a tree ended.
type Result struct {
	Killed bool   // the leader outlived its grace and was killed
	Swept  int    // how many descendants were killed
	Left   []Info // what could not be killed: empty unless the kernel refused
}

// Stop ends the leader and everything that it has started. It sends signal, a name such
// as "TERM", to the leader's process group, then CONT, so that stopped processes can
// react. Once the leader has ended, members that have not been signaled are signaled
// too. When grace expires or ctx ends, Stop kills whatever is left, until two
// consecutive scans find nothing.
//
// progress, if not nil, is called from Stop's goroutine after a tenth, a third and two
// thirds of grace, with the remaining grace and processes.
//
// Stop blocks until nothing is left, all output has been passed on and the pipe is
// closed; at most five seconds beyond grace. It may be called again, also during
// another call: all calls return the same result, and the shortest grace or context
// applies. An unknown signal counts as TERM.
func (p *Process) Stop(ctx context.Context, signal string, grace time.Duration, progress func(left time.Duration, remaining []Info)) Result {
	if !p.stopping.CompareAndSwap(false, true) {
		return p.joinStop(ctx, grace)
	}
	number, err := Signal(signal)
	if err != nil {
		number = unix.SIGTERM
	}
	if grace > 0 && number != unix.SIGKILL {
		p.terminate(ctx, number, grace, progress)
	}
	p.killRest(context.WithoutCancel(ctx))
	waitClosed(p.done, drainTimeout)
	p.pump.finish(drainTimeout)
	_ = p.input.Close()
	if p.terminal != nil {
		_ = p.terminal.Close()
	}
	if guard := children.currentGuard(); guard != nil && len(p.result.Left) == 0 {
		guard.write(entry{Swept: p.pid}) // its PIDs may be reused
	}
	close(p.stopped)
	return p.result
}

// Sweep kills, without grace, what is left of the tree, including a living leader. It
// is meant for a leader that has already ended, and is otherwise like Stop.
func (p *Process) Sweep(ctx context.Context) Result { return p.Stop(ctx, "KILL", 0, nil) }

// joinStop waits for the Stop in progress, and cuts its grace short when this caller's
// expires.
func (p *Process) joinStop(ctx context.Context, grace time.Duration) Result {
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.stopped:
		return p.result
	case <-timer.C:
	case <-ctx.Done():
	}
	p.skipGraceOnce.Do(func() { close(p.skipGrace) })
	<-p.stopped
	return p.result
}

// terminate signals the tree and waits until it has ended or grace expires.
func (p *Process) terminate(ctx context.Context, signal syscall.Signal, grace time.Duration, progress func(time.Duration, []Info)) {
	deadline := time.Now().Add(grace)
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	signaled := p.signalGroup(signal)
	reports := []time.Duration{grace / 10, grace / 3, grace * 2 / 3}
	due := time.NewTimer(reports[0])
	defer due.Stop()
	exited, retry := p.exited, backoff{}
	for {
		// The leader's exit is an event; the others must be polled.
		var poll <-chan time.Time
		if exited == nil {
			left := p.tree()
			if len(left) == 0 {
				return
			}
			signalRest(left, signal, signaled)
			poll = time.After(retry.next())
		}
		select {
		case <-ctx.Done():
			return
		case <-p.skipGrace:
			return
		case <-exited:
			exited = nil
		case <-poll:
		case <-due.C:
			if reports = reports[1:]; len(reports) > 0 {
				due.Reset(time.Until(deadline) - (grace - reports[0]))
			}
			if progress != nil {
				progress(max(0, time.Until(deadline)), p.Tree())
			}
		}
	}
}

// signalGroup signals the leader's process group, as a terminal does, and returns the
// start times of its members. Descendants in other groups are left to their parents,
// which know in what order to end them. p.tree records them, in case their parents
// fail.
func (p *Process) signalGroup(signal syscall.Signal) map[int]string {
	signaled := map[int]string{}
	members := p.tree()
	if isClosed(p.exited) {
		return signaled // the group's number may have been reused
	}
	_ = unix.Kill(-p.pid, signal) // it may have ended
	_ = unix.Kill(-p.pid, unix.SIGCONT)
	for _, info := range members {
		if info.PGID == p.pid {
			signaled[info.PID] = info.StartTime
		} else if info.State == "T" {
			_ = kill(info, unix.SIGCONT)
		}
	}
	return signaled
}

// signalRest signals the members that have not been signaled.
func signalRest(members []Info, signal syscall.Signal, signaled map[int]string) {
	for _, info := range members {
		if signaled[info.PID] != info.StartTime {
			signaled[info.PID] = info.StartTime
			_ = kill(info, signal) // a failure shows when it is killed
			_ = kill(info, unix.SIGCONT)
		}
	}
}

// killRest kills everything that is left and sets the result.
func (p *Process) killRest(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, killTimeout)
	defer cancel()
	killed, err := killAll(ctx, 0, func() []Info {
		left := p.tree()
		killGroups(left)
		return left
	})
	for _, info := range killed {
		if info.PID == p.pid {
			p.result.Killed = true
		} else {
			p.result.Swept++
		}
	}
	if err != nil {
		p.result.Left = p.tree()
	}
}

// killGroups kills the process groups of a tree's members, also those without their
// leader. The kernel kills a group atomically, so even a process that forks
// continuously cannot escape. A process cannot join a group of another session, so the
// groups contain only processes of the tree.
func killGroups(members []Info) {
	own, err := unix.Getsid(0)
	if err != nil {
		return
	}
	groups := map[int]bool{}
	for _, info := range members {
		if info.SID != own && info.PGID > 1 && !groups[info.PGID] {
			groups[info.PGID] = true
			_ = unix.Kill(-info.PGID, unix.SIGKILL) // each member is also killed individually
		}
	}
}
