package proc

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// Info is a snapshot of one process.
type Info struct {
	PID, PPID, PGID, SID int

	StartTime string        // see StartTime; identifies a process together with PID
	Name      string        // the kernel's short name for the program
	State     string        // the kernel's letter: R, S, D, T (stopped), Z (zombie)
	CPU       time.Duration // user and system time, without its children
	RSS       int64         // resident bytes, including shared pages
}

func (i Info) zombie() bool { return i.State == "Z" || i.State == "X" }

// String returns "PID name".
func (i Info) String() string { return fmt.Sprintf("%d %s", i.PID, i.Name) }

// Alive reports whether a process exists and is not a zombie. startTime excludes a
// later process with the same PID, unless it is empty.
func Alive(pid int, startTime string) bool {
	info, err := inspect(pid)
	return err == nil && !info.zombie() && (startTime == "" || info.StartTime == startTime)
}

// StartTime returns when a process, or a zombie, started: in ticks since boot on
// Linux, in seconds and microseconds on macOS. It returns os.ErrProcessDone if there
// is no such process.
func StartTime(pid int) (string, error) {
	info, err := inspect(pid)
	if err != nil {
		return "", err
	}
	return info.StartTime, nil
}

// SendSignal sends a signal ("TERM") to a recorded process, but not to a later one with
// the same PID. It is not an error if the process has ended.
func SendSignal(pid int, startTime, signal string) error {
	number, err := Signal(signal)
	if err != nil {
		return err
	}
	return kill(Info{PID: pid, StartTime: startTime}, number)
}

// kill signals the process described by info, but not a later one with the same PID. On
// Linux the handle pins the process before its start time is compared. It is not an
// error if the process has ended.
func kill(info Info, signal os.Signal) error {
	handle, err := os.FindProcess(info.PID)
	if err != nil {
		return fmt.Errorf("signal %v: %w", info, err)
	}
	defer func() { _ = handle.Release() }()
	if start, err := StartTime(info.PID); err != nil || start != info.StartTime {
		return nil
	}
	if err := handle.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal %v: %w", info, err)
	}
	return nil
}
