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

// asChild makes the test binary a devserver: what signals do to a process only a
// process can show.
const asChild = "SILO_TEST_DEVSERVER"

func TestMain(m *testing.M) {
	if os.Getenv(asChild) != "" {
		os.Exit(child())
	}
	goleak.VerifyTestMain(m)
}

// child is what a program around Run does.
func child() int {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	go func() { <-caught; stop() }()
	err := Run(ctx, Options{Args: os.Args[1:], Stdout: os.Stdout, Stderr: os.Stderr})
	return status(err)
}

// status is the exit status that err stands for.
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
