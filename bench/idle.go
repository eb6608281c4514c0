//go:build linux

package main

import (
	"context"
	"fmt"
	"time"
)

// settling is how long a run is left alone before its idleness is watched.
const settling = 3 * time.Second

// idle measures what is there besides the silos while nothing happens.
func (b *bench) idle(ctx context.Context) error {
	sizes := b.sizes
	if sizes == nil {
		sizes = []int{3, 100}
	}
	for _, count := range sizes {
		result, err := b.rounds(ctx, fmt.Sprintf("idleness of %d", count), func(c contender) (sample, error) { return b.idleOf(ctx, c, count) })
		if err != nil {
			return err
		}
		result.print(
			b.out, fmt.Sprintf("### Idle for %v, N = %d", b.window, count),
			figure{name: "PSS", unit: "MB", digits: 1, ratio: true},
			figure{name: "processes", unit: "beside the silos"},
			figure{name: "CPU", unit: "ms", digits: 2},
			figure{name: "went to sleep", unit: "times"},
		)
	}
	return nil
}

func (b *bench) idleOf(ctx context.Context, c contender, count int) (sample, error) {
	t, err := b.launch(ctx, c, count, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = t.clear() }() // the figures are in
	last, err := t.journal.await(ctx, "listens", count)
	if err != nil {
		return nil, t.trouble(err.Error())
	}
	if c.silo {
		if err := t.readiness(ctx, sample{}, last); err != nil {
			return nil, err
		}
	}
	pause(ctx, settling)
	before, err := useOf(t)
	if err != nil {
		return nil, err
	}
	pause(ctx, b.window)
	after, err := useOf(t)
	if err != nil {
		return nil, err
	}
	_, _, err = t.stop(ctx)
	return sample{
		"PSS": float64(after.pss) / 1e6, "processes": float64(after.processes),
		"CPU": ms(int64(after.cpu - before.cpu)), "went to sleep": float64(after.switches - before.switches),
	}, err
}
