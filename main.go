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
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	again := make(chan struct{})
	go func() {
		<-signals
		cancel()
		<-signals
		close(again)
	}()
	return cmd.Main(ctx, cmd.Invocation{
		Args: os.Args[1:], Environ: os.Environ(), Again: again,
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
	})
}
