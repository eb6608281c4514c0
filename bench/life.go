//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// life measures a run from launch to the last server that listens, to the
// supervisor's word that all are ready, and from the signal to the end.
func (b *bench) life(ctx context.Context) error {
	sizes := b.sizes
	if sizes == nil {
		sizes = []int{3, 20, 100, 500}
	}
	for _, count := range sizes {
		result, err := b.rounds(ctx, fmt.Sprintf("life of %d", count), func(c contender) (sample, error) { return b.lifeOf(ctx, c, count) })
		if err != nil {
			return err
		}
		result.print(
			b.out, fmt.Sprintf("### Start, N = %d", count),
			figure{name: "last listens", unit: "ms", digits: 1, ratio: true},
			figure{name: "says ready", unit: "ms", digits: 1},
			figure{name: "said after the last listens", unit: "ms", digits: 1},
			figure{name: "seen ready, median", unit: "ms", digits: 1},
			figure{name: "seen ready, latest", unit: "ms", digits: 1},
		)
		result.print(
			b.out, fmt.Sprintf("### Stop of polite silos, N = %d", count),
			figure{name: "last stub gone", unit: "ms", digits: 1, ratio: true},
			figure{name: "supervisor gone", unit: "ms", digits: 1, ratio: true},
		)
	}
	return nil
}

func (b *bench) lifeOf(ctx context.Context, c contender, count int) (s sample, err error) {
	t, err := b.launch(ctx, c, count, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = t.clear() }() // the figures are in
	last, err := t.journal.await(ctx, "listens", count)
	if err != nil {
		return nil, t.trouble(err.Error())
	}
	s = sample{"last listens": ms(last.mono - t.begun)}
	if c.silo {
		if err := t.readiness(ctx, s, last); err != nil {
			return nil, err
		}
	}
	if err := t.sound(ctx); err != nil {
		return nil, err
	}
	pause(ctx, 300*time.Millisecond) // the start shall be over before the end begins
	stubs, supervisor, err := t.stop(ctx)
	s["last stub gone"], s["supervisor gone"] = ms(int64(stubs)), ms(int64(supervisor))
	return s, err
}

func ms(ns int64) float64 { return float64(ns) / 1e6 }

// readiness notes when silo said that all are ready, and how long after each
// server's own word silo saw it to be.
func (t *trial) readiness(ctx context.Context, s sample, last event) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case <-t.spoke:
	case <-ctx.Done():
		return t.trouble("it never said ready")
	}
	if t.said == 0 {
		return t.trouble("it ended without a word")
	}
	s["says ready"], s["said after the last listens"] = ms(t.said-t.begun), ms(t.said-last.mono)
	lags, err := t.lags(ctx)
	if err != nil {
		return err
	}
	s["seen ready, median"], s["seen ready, latest"] = median(lags), lags[len(lags)-1]
	return nil
}

// lags are, in order, how many ms after a server's own word silo saw it ready.
func (t *trial) lags(ctx context.Context) ([]float64, error) {
	cmd := command(ctx, t.tools.silo, "status", "--json")
	cmd.Dir, cmd.Env = t.dir, t.environ()
	text, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("silo status: %w", err)
	}
	var status struct {
		Silos []struct {
			Name    string
			ReadyAt time.Time `json:"ready_at"`
		}
	}
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(&status); err != nil {
		return nil, err
	}
	listens := map[string]time.Time{}
	for _, e := range t.journal.of("listens") {
		listens[e.name] = e.real
	}
	var lags []float64
	for _, silo := range status.Silos {
		lags = append(lags, ms(int64(silo.ReadyAt.Sub(listens[silo.Name]))))
	}
	if len(lags) != t.count {
		return nil, fmt.Errorf("silo status tells of %d silos, not %d", len(lags), t.count)
	}
	slices.Sort(lags)
	return lags, nil
}

// sound asks the first, the middle and the last server for its health.
func (t *trial) sound(ctx context.Context) error {
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for _, i := range []int{0, t.count / 2, t.count - 1} {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:"+strconv.Itoa(t.port+i)+"/_health/", http.NoBody)
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if err != nil {
			return t.trouble(err.Error())
		}
		_ = response.Body.Close() // only its status counts
		if response.StatusCode != http.StatusOK {
			return t.trouble(filepath.Base(request.URL.Path) + " answers " + response.Status)
		}
	}
	return nil
}
