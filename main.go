// Command silo runs an application that is split into a control plane and
// regions on a developer's machine: Sentry's Hybrid Cloud.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"silo/cmd"
)

func main() { os.Exit(run()) }

// run cancels a context on the first signal and closes a channel on the second.
func run() int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	// A closing terminal sends SIGHUP twice, from the kernel and from the shell, so SIGHUP
	// never counts as the second signal.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	// A closed pipe, as after Ctrl-C in silo up | tee, must not kill a supervisor. The signal
	// is caught rather than ignored, because children inherit ignored signals.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	second := make(chan struct{})
	go func() {
		select {
		case <-signals:
		case <-hangups:
		}
		cancel()
		<-signals
		close(second)
	}()
	return cmd.Main(ctx, cmd.Invocation{
		Program: os.Args[0], Args: os.Args[1:], Environ: os.Environ(), SecondSignal: second,
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
	})
}
