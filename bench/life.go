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

// life measures a start until the last server listens and until the supervisor prints
// that all are ready, and a stop from the signal to the end.
func (b *bench) life(ctx context.Context) error {
	sizes := b.sizes
	if sizes == nil {
		sizes = []int{3, 20, 100, 500}
	}
	for _, count := range sizes {
		result, err := b.rounds(ctx, fmt.Sprintf("life, N = %d", count), func(c contender) (sample, error) { return b.lifeOf(ctx, c, count) })
		if err != nil {
			return err
		}
		result.print(
			b.out, fmt.Sprintf("### Start, N = %d", count),
			figure{name: "last listen", unit: "ms", digits: 1, ratio: true},
			figure{name: "prints ready", unit: "ms", digits: 1},
			figure{name: "ready after the last listen", unit: "ms", digits: 1},
			figure{name: "detected ready, median", unit: "ms", digits: 1},
			figure{name: "detected ready, latest", unit: "ms", digits: 1},
		)
		result.print(
			b.out, fmt.Sprintf("### Stop, N = %d", count),
			figure{name: "last stub exits", unit: "ms", digits: 1, ratio: true},
			figure{name: "supervisor exits", unit: "ms", digits: 1, ratio: true},
		)
	}
	return nil
}

func (b *bench) lifeOf(ctx context.Context, c contender, count int) (s sample, err error) {
	t, err := b.launch(ctx, c, count, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = t.clear() }() // the measurement is complete
	last, err := t.eventLog.await(ctx, "listens", count)
	if err != nil {
		return nil, t.fail(err.Error())
	}
	s = sample{"last listen": ms(last.mono - t.startedAt)}
	if c.silo != "" {
		if err := t.awaitReady(ctx, s, last); err != nil {
			return nil, err
		}
	}
	if err := t.checkHealth(ctx); err != nil {
		return nil, err
	}
	pause(ctx, 300*time.Millisecond) // let the start finish
	stubs, supervisor, err := t.stop(ctx)
	s["last stub exits"], s["supervisor exits"] = ms(int64(stubs)), ms(int64(supervisor))
	return s, err
}

func ms(ns int64) float64 { return float64(ns) / 1e6 }

// awaitReady waits until silo has printed that all are ready. It records when, and how
// long after each server's listen silo detected it.
func (t *trial) awaitReady(ctx context.Context, s sample, last event) error {
	ctx, cancel := context.WithTimeout(ctx, waitLimit)
	defer cancel()
	select {
	case <-t.readyPrinted:
	case <-ctx.Done():
		return t.fail("did not print ready")
	}
	if t.readyAt == 0 {
		return t.fail("exited without output")
	}
	s["prints ready"], s["ready after the last listen"] = ms(t.readyAt-t.startedAt), ms(t.readyAt-last.mono)
	readyDelays, err := t.readyDelays(ctx)
	if err != nil {
		return err
	}
	s["detected ready, median"], s["detected ready, latest"] = median(readyDelays), readyDelays[len(readyDelays)-1]
	return nil
}

// readyDelays returns, sorted, the milliseconds from each server's listen to its ready_at.
func (t *trial) readyDelays(ctx context.Context) ([]float64, error) {
	cmd := command(ctx, t.silo, "status", "--json")
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
	for _, e := range t.eventLog.of("listens") {
		listens[e.name] = e.real
	}
	var readyDelays []float64
	for _, silo := range status.Silos {
		readyDelays = append(readyDelays, ms(int64(silo.ReadyAt.Sub(listens[silo.Name]))))
	}
	if len(readyDelays) != t.count {
		return nil, fmt.Errorf("silo status lists %d silos, want %d", len(readyDelays), t.count)
	}
	slices.Sort(readyDelays)
	return readyDelays, nil
}

// checkHealth requests the health of the first, the middle and the last server.
func (t *trial) checkHealth(ctx context.Context) error {
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for _, i := range []int{0, t.count / 2, t.count - 1} {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:"+strconv.Itoa(t.port+i)+"/_health/", http.NoBody)
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if err != nil {
			return t.fail(err.Error())
		}
		_ = response.Body.Close() // only the status matters
		if response.StatusCode != http.StatusOK {
			return t.fail(filepath.Base(request.URL.Path) + " responded " + response.Status)
		}
	}
	return nil
}
