package devserver

import (
	"os"
	"os/signal"
	"syscall" // the names of signals, nothing else
)

// signalNamed is the signal that --ignore names.
func signalNamed(name string) (os.Signal, bool) {
	switch name {
	case "TERM":
		return syscall.SIGTERM, true
	case "INT":
		return syscall.SIGINT, true
	case "HUP":
		return syscall.SIGHUP, true
	}
	return nil, false
}

// takeSignals keeps ignored signals from everyone in this process, and takes
// SIGHUP for itself: to uWSGI it is an order to load the app again, not to end.
// The caller calls stop.
func takeSignals(ignored []os.Signal) (hangup <-chan os.Signal, stop func()) {
	caught := make(chan os.Signal, 1)
	// Ignore before Notify: it takes the signal from whoever had it, and leaves
	// no moment at which it would end the process.
	signal.Ignore(syscall.SIGHUP)
	signal.Notify(caught, syscall.SIGHUP)
	if len(ignored) > 0 { // Ignore without any would mean all
		signal.Ignore(ignored...)
	}
	return caught, func() { signal.Stop(caught) }
}
