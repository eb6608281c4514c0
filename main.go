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

// run turns signals into a context that ends with the first one and a channel
// that is closed with the second.
func run() int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	// A terminal that closes says so twice, by the kernel and by the shell: that
	// is one wish to end, and never one for more haste.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	// A reader that has gone (Ctrl-C ends `| tee`, too) must not end a supervisor.
	// Caught and not ignored, since children inherit what is ignored.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	again := make(chan struct{})
	go func() {
		select {
		case <-signals:
		case <-hangups:
		}
		cancel()
		<-signals
		close(again)
	}()
	return cmd.Main(ctx, cmd.Invocation{
		Args: os.Args[1:], Environ: os.Environ(), SecondSignal: again,
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
	})
}
