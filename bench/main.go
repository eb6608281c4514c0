//go:build linux

// Command bench compares silo with other supervisors and proxies: start, stop, log
// throughput, idle cost, command latency and proxy overhead. All contenders of a part
// take turns in shuffled order.
//
//	go run . [flags] life logs idle cli proxy
//
// It compiles its helpers with cc and go into a temporary directory, and uses only
// silo's command line. Linux only, because it reads /proc. README.md has the method.
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
		os.Exit(1)
	}
}

// settings are the values of the flags.
type settings struct {
	runs   int
	sizes  []int
	lines  []int
	only   []string
	window time.Duration // length of the idle measurement
	quiet  time.Duration // how long to wait for a quiet machine
	silo   string        // a binary; empty: build one
	other  string        // a second silo binary to compare with; empty: none
	tmp    string
}

// bench is one invocation.
type bench struct {
	settings
	tools    tools
	out      io.Writer // tables
	progress io.Writer // progress messages
	seed     uint64
	rng      *rand.Rand
}

// parts returns all parts, in the order of `all`.
func parts() []string { return []string{"life", "logs", "idle", "cli", "proxy"} }

func run(ctx context.Context, args []string, out, progress io.Writer) error {
	b := &bench{out: out, progress: progress}
	chosen, err := b.parse(args)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(b.tmp, "bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }() // a leftover is in memory or in /tmp
	b.tmp = dir
	if b.tools, err = build(ctx, dir, b.silo, b.other); err != nil {
		return err
	}
	if err := b.awaitIdle(ctx); err != nil {
		return err
	}
	fmt.Fprintf(b.out, "%s; load before: %s; seed %d\n", machine(), load(), b.seed)
	for _, part := range chosen {
		measure := map[string]func(context.Context) error{
			"life": b.life, "logs": b.logs, "idle": b.idle, "cli": b.cli, "proxy": b.proxy,
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
	flags.SetOutput(b.progress)
	sizes := flags.String("sizes", "", "numbers of silos, for example 3,100 (default: depends on the part)")
	lines := flags.String("lines", "250000,1000000", "lines per producer; there are four")
	only := flags.String("only", "", "contenders, for example gofan,silo-local (default: all); the first one is the base of the ratios")
	flags.IntVar(&b.runs, "runs", 5, "rounds")
	flags.DurationVar(&b.window, "window", 10*time.Second, "length of the idle measurement")
	flags.DurationVar(&b.quiet, "quiet", 0, "wait up to this long for a load below 1.5 during 30 s")
	flags.StringVar(&b.silo, "silo", "", "a silo `BINARY` instead of a fresh build")
	flags.StringVar(&b.other, "other", "", "a second silo `BINARY` to compare with, for example an earlier release")
	flags.StringVar(&b.tmp, "tmp", "/dev/shm", "directory for all files; on a disk, the disk is measured too")
	flags.Uint64Var(&b.seed, "seed", uint64(time.Now().UnixNano()), "seed of the shuffled order")
	for len(args) > 0 {
		if err := flags.Parse(args); err != nil {
			return nil, err
		}
		if args = flags.Args(); len(args) > 0 {
			chosen, args = append(chosen, args[0]), args[1:]
		}
	}
	b.rng = rand.New(rand.NewPCG(b.seed, 0))
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
			return nil, fmt.Errorf("unknown part %q (have: %s, all)", part, strings.Join(parts(), ", "))
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
			return nil, fmt.Errorf("%q is not a positive number", field)
		}
		list = append(list, n)
	}
	return list, nil
}

// pause reports whether d has passed before ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}
