//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// turns is the number of runs of each command, in shuffled order.
const turns = 15

// call is one timed command.
type call struct {
	name string
	argv []string
	in   *trial // the trial that it queries; nil: none
	exit int
}

// cli measures the latency of silo's commands.
func (b *bench) cli(ctx context.Context) error {
	calls := []call{{"/bin/true", []string{"/bin/true"}, nil, 0}}
	for _, c := range b.contenders() {
		if c.silo == "" || !strings.HasSuffix(c.name, "-local") {
			continue
		}
		more, stop, err := b.cliCalls(ctx, c)
		defer stop()
		if err != nil {
			return err
		}
		calls = append(calls, more...)
	}
	return b.time(ctx, calls)
}

// cliCalls starts instances with 3 and 100 silos and a stopped one, and returns the commands
// that ask them.
func (b *bench) cliCalls(ctx context.Context, c contender) (calls []call, stop func(), err error) {
	var trials []*trial
	stop = func() {
		for _, t := range trials {
			_ = t.clear() // the measurement is complete
		}
	}
	for _, count := range []int{3, 100, 3} {
		t, err := b.launch(ctx, c, count, 0)
		if err != nil {
			return nil, stop, err
		}
		trials = append(trials, t)
		last, err := t.eventLog.await(ctx, "listens", count)
		if err == nil {
			err = t.awaitReady(ctx, sample{}, last)
		}
		if err != nil {
			return nil, stop, err
		}
	}
	if _, _, err := trials[2].stop(ctx); err != nil {
		return nil, stop, err
	}
	name, status := strings.TrimSuffix(c.name, "-local"), []string{c.silo, "status"}
	return []call{
		{name + " version", []string{c.silo, "version"}, nil, 0},
		{name + " status, stopped", status, trials[2], 4},
		{name + " status, N = 3", status, trials[0], 0},
		{name + " status, N = 100", status, trials[1], 0},
	}, stop, nil
}

func (b *bench) time(ctx context.Context, calls []call) error {
	result := &table{samples: map[string][]sample{}}
	for _, c := range calls {
		result.names = append(result.names, c.name)
	}
	fmt.Fprintf(b.progress, "cli, %d turns\n", turns)
	for range turns {
		for _, i := range b.rng.Perm(len(calls)) {
			got, err := calls[i].run(ctx)
			if err != nil {
				return fmt.Errorf("%s: %w", calls[i].name, err)
			}
			result.add(calls[i].name, got)
		}
	}
	result.print(
		b.out, fmt.Sprintf("### Commands, provider local, %d turns", turns),
		figure{name: "wall", unit: "ms", digits: 1, ratio: true}, figure{name: "CPU", unit: "ms", digits: 1},
	)
	return nil
}

func (c call) run(ctx context.Context) (sample, error) {
	cmd := command(ctx, c.argv...)
	if c.in != nil {
		cmd.Dir, cmd.Env = c.in.dir, c.in.environ()
	}
	begin := now()
	err := cmd.Run()
	end := now()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return nil, err
	}
	if code := cmd.ProcessState.ExitCode(); code != c.exit {
		return nil, fmt.Errorf("exit code %d, not %d", code, c.exit)
	}
	return sample{"wall": ms(end - begin), "CPU": ms(int64(cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()))}, nil
}
