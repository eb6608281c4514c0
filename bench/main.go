//go:build linux

// Command bench measures silo: how fast it starts, joins logs and stops silos,
// what it costs while nothing happens, how long its commands take, and what its
// edge costs a request. Every figure stands beside a floor's from the same run, in
// which all contenders take turns in shuffled order.
//
//	go run ./bench [flags] life logs idle cli proxy ngrok
//
// It builds all it needs into a temporary directory (cc and go), and knows silo by
// its command line alone (goproxy imports a room, and ngrokpart the ngrok service
// of the tests). Linux only: it reads
// /proc. See README.md for the method.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1) //nolint:forbidigo // this is a main
	}
}

// settings are what the flags say.
type settings struct {
	runs   int
	sizes  []int
	lines  []int
	only   []string
	window time.Duration // of idleness
	quiet  time.Duration // how long a quiet machine is waited for
	silo   string        // a binary; empty: built
	other  string        // one more, which takes part in ngrok; empty: none
	tmp    string
}

// bench is one call of the harness.
type bench struct {
	settings
	tools tools
	out   io.Writer // tables
	talk  io.Writer // what is going on
	seed  uint64
	dice  *rand.Rand
}

// parts are what can be measured, in the order in which `all` does.
func parts() []string { return []string{"life", "logs", "idle", "cli", "proxy", "ngrok"} }

func run(ctx context.Context, args []string, out, talk io.Writer) error {
	b := &bench{out: out, talk: talk}
	chosen, err := b.parse(args)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(b.tmp, "bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }() // what is left there is in memory, or in /tmp
	b.tmp = dir
	if b.tools, err = build(ctx, dir, b.silo); err != nil {
		return err
	}
	if err := b.awaitQuiet(ctx); err != nil {
		return err
	}
	fmt.Fprintf(b.out, "%s; load before: %s; seed %d\n", machine(), load(), b.seed)
	for _, part := range chosen {
		measure := map[string]func(context.Context) error{
			"life": b.life, "logs": b.logs, "idle": b.idle, "cli": b.cli, "proxy": b.proxy, "ngrok": b.ngrok,
		}[part]
		if err := measure(ctx); err != nil {
			return fmt.Errorf("%s: %w", part, err)
		}
	}
	fmt.Fprintf(b.out, "\nload after: %s\n", load())
	return nil
}

// parse takes flags and parts in any order.
func (b *bench) parse(args []string) (chosen []string, err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(b.talk)
	sizes := flags.String("sizes", "", "how many silos, such as 3,100 (default: as each part has it)")
	lines := flags.String("lines", "250000,1000000", "lines of each of the four producers")
	only := flags.String("only", "", "contenders, such as floor,silo-none (default: all); the first that runs is the measure of the others")
	flags.IntVar(&b.runs, "runs", 5, "how often")
	flags.DurationVar(&b.window, "window", 10*time.Second, "how long idleness is watched")
	flags.DurationVar(&b.quiet, "quiet", 0, "wait this long for a load below 1.5 over 30 s")
	flags.StringVar(&b.silo, "silo", "", "a silo `BINARY` instead of one built from this module")
	flags.StringVar(&b.other, "other", "", "one more silo `BINARY`, such as a former release, which takes part in ngrok")
	flags.StringVar(&b.tmp, "tmp", "/dev/shm", "where all files go: memory, or the disk is measured")
	flags.Uint64Var(&b.seed, "seed", uint64(time.Now().UnixNano()), "of the order of turns")
	for len(args) > 0 {
		if err := flags.Parse(args); err != nil {
			return nil, err
		}
		if args = flags.Args(); len(args) > 0 {
			chosen, args = append(chosen, args[0]), args[1:]
		}
	}
	b.dice = rand.New(rand.NewPCG(b.seed, 0)) //nolint:gosec // G404: an order, no secret
	if *only != "" {
		b.only = strings.Split(*only, ",")
	}
	if b.sizes, err = numbers(*sizes); err == nil {
		b.lines, err = numbers(*lines)
	}
	if len(chosen) == 0 || slices.Contains(chosen, "all") {
		return parts(), err
	}
	for _, part := range chosen {
		if !slices.Contains(parts(), part) {
			return nil, fmt.Errorf("no part %q: there are %s and all", part, strings.Join(parts(), ", "))
		}
	}
	return chosen, err
}

func numbers(text string) (list []int, err error) {
	if text == "" {
		return nil, nil
	}
	for field := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(field)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%q is no number of things", field)
		}
		list = append(list, n)
	}
	return list, nil
}

// pause returns false when ctx has ended.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}
