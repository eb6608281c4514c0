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
	Code   int       // the exit status; 128 plus the signal's number where a signal ended it, as shells have it
	Signal string    // the signal that ended it, without SIG ("KILL"), else empty
	At     time.Time // when it was reaped
}

// String is "exit status 3" or "signal KILL".
func (e Exit) String() string {
	if e.Signal != "" {
		return "signal " + e.Signal
	}
	return fmt.Sprintf("exit status %d", e.Code)
}

// exitOf takes the outcome from the kernel's status: the error that Wait returns
// beside it tells of pipes and contexts too. No status means that somebody else
// has reaped the child, and nothing is known of its end.
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

// Signal is the signal of a name such as "TERM" or "SIGTERM".
func Signal(name string) (syscall.Signal, error) {
	number := unix.SignalNum("SIG" + strings.TrimPrefix(strings.ToUpper(name), "SIG"))
	if number == 0 {
		return 0, fmt.Errorf("unknown signal %q", name)
	}
	return number, nil
}

// SignalName is the name of a signal without SIG: "TERM"; its number where it has none.
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
