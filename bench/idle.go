//go:build linux

package main

import (
	"context"
	"fmt"
	"time"
)

// settleTime passes between the start and the idle measurement.
const settleTime = 3 * time.Second

// idle measures the supervisor while nothing happens.
func (b *bench) idle(ctx context.Context) error {
	sizes := b.sizes
	if sizes == nil {
		sizes = []int{3, 100}
	}
	for _, count := range sizes {
		result, err := b.rounds(ctx, fmt.Sprintf("idle, N = %d", count), func(c contender) (sample, error) { return b.idleOf(ctx, c, count) })
		if err != nil {
			return err
		}
		result.print(
			b.out, fmt.Sprintf("### Idle for %v, N = %d", b.window, count),
			figure{name: "PSS", unit: "MB", digits: 1, ratio: true},
			figure{name: "processes", unit: "besides the silos"},
			figure{name: "CPU", unit: "ms", digits: 2},
			figure{name: "voluntary switches", unit: "total"},
		)
	}
	return nil
}

func (b *bench) idleOf(ctx context.Context, c contender, count int) (sample, error) {
	t, err := b.launch(ctx, c, count, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = t.clear() }() // the measurement is complete
	last, err := t.eventLog.await(ctx, "listens", count)
	if err != nil {
		return nil, t.fail(err.Error())
	}
	if c.silo != "" {
		if err := t.awaitReady(ctx, sample{}, last); err != nil {
			return nil, err
		}
	}
	pause(ctx, settleTime)
	before, err := usageOf(t)
	if err != nil {
		return nil, err
	}
	pause(ctx, b.window)
	after, err := usageOf(t)
	if err != nil {
		return nil, err
	}
	_, _, err = t.stop(ctx)
	return sample{
		"PSS": float64(after.pss) / 1e6, "processes": float64(after.processes),
		"CPU": ms(int64(after.cpu - before.cpu)), "voluntary switches": float64(after.switches - before.switches),
	}, err
}
