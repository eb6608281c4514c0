//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
)

// turns is how often each command is run, in shuffled order.
const turns = 15

// call is one command that is timed.
type call struct {
	name string
	argv []string
	in   *trial // whose directory and environment it has; nil: none
	exit int
}

// cli measures commands: silo's own beside a program that does nothing.
func (b *bench) cli(ctx context.Context) error {
	c := siloWith("local")
	var trials []*trial
	defer func() {
		for _, t := range trials {
			_ = t.clear() // the figures are in
		}
	}()
	for _, count := range []int{3, 100, 3} {
		t, err := b.launch(ctx, c, count, 0)
		if err != nil {
			return err
		}
		trials = append(trials, t)
		last, err := t.journal.await(ctx, "listens", count)
		if err == nil {
			err = t.readiness(ctx, sample{}, last)
		}
		if err != nil {
			return err
		}
	}
	stopped := trials[2]
	if _, _, err := stopped.stop(ctx); err != nil {
		return err
	}
	calls := []call{
		{"/bin/true", []string{"/bin/true"}, nil, 0},
		{"empty Go program", []string{b.tools.empty}, nil, 0},
		{"silo version", []string{b.tools.silo, "version"}, nil, 0},
		{"silo status, stopped", []string{b.tools.silo, "status"}, stopped, 4},
		{"silo status, N = 3", []string{b.tools.silo, "status"}, trials[0], 0},
		{"silo status, N = 100", []string{b.tools.silo, "status"}, trials[1], 0},
	}
	if err := b.time(ctx, calls); err != nil {
		return err
	}
	for _, t := range trials[:2] {
		if _, _, err := t.stop(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) time(ctx context.Context, calls []call) error {
	result := &table{samples: map[string][]sample{}}
	for _, c := range calls {
		result.names = append(result.names, c.name)
	}
	fmt.Fprintf(b.talk, "cli, %d turns\n", turns)
	for range turns {
		for _, i := range b.dice.Perm(len(calls)) {
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
