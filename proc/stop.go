package proc

import (
	"context"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// killLimit bounds how long Stop goes on killing what does not die: a process in
// uninterruptible sleep, or one of another user.
const killLimit = 5 * time.Second

// Result is how a tree came to its end.
type Result struct {
	Killed bool   // the leader outlived its grace and had to be killed
	Swept  int    // how many descendants had to be killed
	Left   []Info // what could not be killed: empty unless the kernel refused
}

// Stop ends the leader and everything that it has spawned. signal, a name such as
// "TERM", goes to the leader's process group, followed by CONT, without which a
// stopped process could not act on it. When the leader has gone, members of the tree that have
// not had the signal get it too. What is left when grace is over or ctx ends is
// killed, until two looks in a row find nothing.
//
// progress, if not nil, is called from Stop's own goroutine after a tenth, a third
// and two thirds of grace with what is left of it and who is still there.
//
// Stop blocks until nothing is left, all output has been passed on and the pipe
// is closed; at most killLimit beyond grace. It may be called again, also while
// another call is under way: all return the one result, and the shortest grace or
// context of any of them counts. An unknown signal counts as TERM.
func (p *Process) Stop(ctx context.Context, signal string, grace time.Duration, progress func(left time.Duration, laggards []Info)) Result {
	if !p.stopping.CompareAndSwap(false, true) {
		return p.join(ctx, grace)
	}
	number, err := Signal(signal)
	if err != nil {
		number = unix.SIGTERM
	}
	gone := grace > 0 && number != unix.SIGKILL && p.ask(ctx, number, grace, progress)
	p.extinguish(context.WithoutCancel(ctx), gone)
	await(p.done, drainLimit)
	p.pump.finish(drainLimit)
	if p.far != nil {
		_ = p.far.Close() // nobody is looked for by it any more
	}
	if guard := ours.guarded(); guard != nil && len(p.result.Left) == 0 {
		guard.swept(p)
	}
	close(p.stopped)
	return p.result
}

// Sweep kills, without grace, what is left of the tree, the leader too if it
// lives. It is for a leader that has ended by itself, and otherwise as Stop.
func (p *Process) Sweep(ctx context.Context) Result { return p.Stop(ctx, "KILL", 0, nil) }

// join waits for the Stop under way, and hurries it when this caller's patience is over.
func (p *Process) join(ctx context.Context, grace time.Duration) Result {
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.stopped:
		return p.result
	case <-timer.C:
	case <-ctx.Done():
	}
	p.hurried.Do(func() { close(p.hurry) })
	<-p.stopped
	return p.result
}

// ask signals the tree and gives it until the end of grace to go. True: it has.
func (p *Process) ask(ctx context.Context, signal syscall.Signal, grace time.Duration, progress func(time.Duration, []Info)) bool {
	deadline := time.Now().Add(grace)
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	told := p.tellGroup(signal)
	reports := []time.Duration{grace / 10, grace / 3, grace * 2 / 3}
	due := time.NewTimer(reports[0])
	defer due.Stop()
	dead, pause := p.dead, pauses{}
	for {
		// While the leader lives its end is awaited; for the others one has to look.
		var look <-chan time.Time
		if dead == nil {
			left := p.tree()
			if len(left) == 0 {
				return true
			}
			tellRest(left, signal, told)
			look = time.After(pause.next())
		}
		select {
		case <-ctx.Done():
			return false
		case <-p.hurry:
			return false
		case <-dead:
			dead = nil
		case <-look:
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

// tellGroup signals the leader's process group, as a terminal would, and returns
// who has been told. Descendants in groups of their own are left to their
// parents, which know in what order they go; looking at them now makes them known
// should their parents fail.
func (p *Process) tellGroup(signal syscall.Signal) map[int]string {
	told := map[int]string{}
	members := p.tree()
	if p.ended() {
		return told // the group's number is pinned no longer
	}
	_ = unix.Kill(-p.pid, signal) // it may be gone by now
	_ = unix.Kill(-p.pid, unix.SIGCONT)
	for _, info := range members {
		if info.PGID == p.pid {
			told[info.PID] = info.StartTime
		} else if info.State == "T" {
			_ = kill(info, unix.SIGCONT)
		}
	}
	return told
}

// tellRest signals those who have not been told.
func tellRest(members []Info, signal syscall.Signal, told map[int]string) {
	for _, info := range members {
		if told[info.PID] != info.StartTime {
			told[info.PID] = info.StartTime
			_ = kill(info, signal) // who cannot be told is killed in the end
			_ = kill(info, unix.SIGCONT)
		}
	}
}

// extinguish kills all that is left and writes the result. gone: one look has
// found nobody already.
func (p *Process) extinguish(ctx context.Context, gone bool) {
	ctx, cancel := context.WithTimeout(ctx, killLimit)
	defer cancel()
	killed, err := killAll(ctx, gone, func() []Info {
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

// killGroups kills the process groups of a tree's members. A group is killed at
// one stroke, so that even what forks without pause cannot slip through. It is
// the tree's alone, as its session is: nobody joins a group of another session. So
// it need not have its leader any more. This is for looks that spare nobody of it; the
// others have killLed.
func killGroups(members []Info) {
	own, err := unix.Getsid(0)
	if err != nil {
		return
	}
	groups := map[int]bool{}
	for _, info := range members {
		if info.SID != own && info.PGID > 1 && !groups[info.PGID] {
			groups[info.PGID] = true
			_ = unix.Kill(-info.PGID, unix.SIGKILL) // each member is killed by itself too
		}
	}
}
