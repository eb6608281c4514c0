package proc

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// Info is one process at the moment it was looked at.
type Info struct {
	PID, PPID, PGID, SID int

	StartTime string        // as the kernel tells it; with PID it names one process
	Name      string        // the kernel's short name of the program
	State     string        // the kernel's letter: R, S, D, T (stopped), Z (zombie)
	CPU       time.Duration // used so far, user and system, without its children
	RSS       int64         // resident bytes, shared pages included

	threads int // 0: not known
}

func (i Info) zombie() bool { return i.State == "Z" || i.State == "X" }

// String is "PID name".
func (i Info) String() string { return fmt.Sprintf("%d %s", i.PID, i.Name) }

// Alive tells whether the process is there and no zombie. startTime tells it from
// another that has been given its number since; empty: any will do.
func Alive(pid int, startTime string) bool {
	info, err := inspect(pid)
	return err == nil && !info.zombie() && (startTime == "" || info.StartTime == startTime)
}

// StartTime is when a process started, as the kernel tells it: ticks since boot
// on Linux, seconds and microseconds on macOS. A zombie has one too. The error is
// os.ErrProcessDone where there is no such process.
func StartTime(pid int) (string, error) {
	info, err := inspect(pid)
	if err != nil {
		return "", err
	}
	return info.StartTime, nil
}

// SendSignal sends a signal ("TERM") to a process that was recorded, and to no other that
// has its number now. That it is gone already is no error.
func SendSignal(pid int, startTime, signal string) error {
	number, err := Signal(signal)
	if err != nil {
		return err
	}
	return kill(Info{PID: pid, StartTime: startTime}, number)
}

// kill signals the very process of info, not another one that has its number
// now. On Linux the handle pins the process before its start time is compared.
// That it is gone already is no error.
func kill(info Info, signal os.Signal) error {
	handle, err := os.FindProcess(info.PID)
	if err != nil {
		return fmt.Errorf("signal %v: %w", info, err)
	}
	defer func() { _ = handle.Release() }()
	if start, err := StartTime(info.PID); err != nil || start != info.StartTime {
		return nil // gone, or its number is another's: there is nothing to signal
	}
	if err := handle.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal %v: %w", info, err)
	}
	return nil
}
