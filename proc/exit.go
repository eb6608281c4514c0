package proc

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Exit is how a process ended.
type Exit struct {
	Code   int       // the exit status, or 128 plus the number of the signal that ended it
	Signal string    // the signal that ended it, without SIG ("KILL"), or empty
	At     time.Time // when it was reaped
}

// String returns "exit status 3" or "signal KILL".
func (e Exit) String() string {
	if e.Signal != "" {
		return "signal " + e.Signal
	}
	return fmt.Sprintf("exit status %d", e.Code)
}

// exitOf reads the outcome from the kernel's status, because the error from Wait also
// covers pipes and contexts. Without a status, something else has reaped the child.
func exitOf(state *os.ProcessState) Exit {
	exit := Exit{Code: -1, At: time.Now()}
	if state == nil {
		return exit
	}
	exit.Code = state.ExitCode()
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		exit.Code = 128 + int(status.Signal())
		exit.Signal = SignalName(status.Signal())
	}
	return exit
}

// Signal returns the signal with a name such as "TERM" or "SIGTERM".
func Signal(name string) (syscall.Signal, error) {
	number := unix.SignalNum("SIG" + strings.TrimPrefix(strings.ToUpper(name), "SIG"))
	if number == 0 {
		return 0, fmt.Errorf("unknown signal %q", name)
	}
	return number, nil
}

// SignalName returns the name of a signal without SIG ("TERM"), or its number if it
// has no name.
func SignalName(signal os.Signal) string {
	number, ok := signal.(syscall.Signal)
	if !ok {
		return signal.String()
	}
	if name := unix.SignalName(number); name != "" {
		return strings.TrimPrefix(name, "SIG")
	}
	return fmt.Sprint(int(number))
}
