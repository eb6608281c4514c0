package devserver

import (
	"os"
	"os/signal"
	"syscall" // only for the names of signals
)

// ignorable are the signals that --ignore can name.
var ignorable = map[string]os.Signal{"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "HUP": syscall.SIGHUP}

// takeSignals ignores the given signals in the whole process and delivers SIGHUP to the
// returned channel: uWSGI reloads the app on SIGHUP instead of exiting. The caller must
// call stop.
func takeSignals(ignored []os.Signal) (hangup <-chan os.Signal, stop func()) {
	caught := make(chan os.Signal, 1)
	// Ignore first, so that SIGHUP never has its default action.
	signal.Ignore(syscall.SIGHUP)
	signal.Notify(caught, syscall.SIGHUP)
	if len(ignored) > 0 { // Ignore without arguments ignores every signal
		signal.Ignore(ignored...)
	}
	return caught, func() { signal.Stop(caught) }
}
