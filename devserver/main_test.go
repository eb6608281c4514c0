package devserver

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

// asChild makes the test binary run as a devserver: the effect of a signal on a process
// can only be tested with a separate process.
const asChild = "SILO_TEST_DEVSERVER"

func TestMain(m *testing.M) {
	if os.Getenv(asChild) != "" {
		os.Exit(child())
	}
	goleak.VerifyTestMain(m)
}

// child is a main function around Run.
func child() int {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	go func() { <-caught; stop() }()
	err := Run(ctx, Options{Args: os.Args[1:], Stdout: os.Stdout, Stderr: os.Stderr})
	return status(err)
}

// status returns the exit status of err.
func status(err error) int {
	switch exit, isExit := err.(*ExitError); { //nolint:errorlint // Run promises this very type
	case err == nil:
		return 0
	case isExit:
		return exit.Code
	default:
		fmt.Fprintln(os.Stderr, err)
		return -1
	}
}
