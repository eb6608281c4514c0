package client

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"time"

	"silo/state"
)

// diaries are the silos' logs from one moment on. A devserver writes each request
// with its query into its log (uWSGI's log-format, sentry/runner/commands/
// devserver.py, all releases): so it is told which silo has answered, also where
// the tunnel is not silo's and where both are regions.
type diaries struct {
	dir     string
	names   []string
	offsets []int64
}

// inkTime is how long a line may take into a log after the answer.
const inkTime = 250 * time.Millisecond

func openDiaries(dir string, snapshot *state.Snapshot) diaries {
	d := diaries{dir: dir}
	if dir == "" || !snapshot.IsManaged() {
		return d
	}
	for _, s := range snapshot.Silos {
		var size int64
		if info, err := os.Stat(d.path(s.Name)); err == nil {
			size = info.Size()
		}
		d.names, d.offsets = append(d.names, s.Name), append(d.offsets, size)
	}
	return d
}

func (d *diaries) path(silo string) string { return filepath.Join(d.dir, silo+".log") }

// read finds out who has answered on each way that had an answer.
func (d *diaries) read(ctx context.Context, silos []CheckedSilo) {
	until := time.Now().Add(inkTime)
	for wait := time.Millisecond; len(d.names) > 0; wait *= 2 {
		missing := d.look(silos)
		if !missing || time.Now().Add(wait).After(until) || !pause(ctx, wait) {
			return
		}
	}
}

func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// look looks once. missing tells whether an answer has no author yet.
func (d *diaries) look(silos []CheckedSilo) (missing bool) {
	began := time.Now()
	var texts [][]byte
	for i := range silos {
		for w := range silos[i].Ways {
			way := &silos[i].Ways[w]
			if way.Answered != nil || way.Status == nil {
				continue
			}
			if texts == nil {
				texts = d.texts()
			}
			if way.Answered = d.author(texts, way.mark, silos[i].Name); way.Answered == nil {
				missing = true
				continue
			}
			way.told(silos[i].Name, time.Since(began))
		}
	}
	return missing
}

// told notes who has answered.
func (w *Way) told(silo string, took time.Duration) {
	by := *w.Answered
	if by == silo {
		if w.Error == "" {
			w.Steps = append(w.Steps, Step{Name, true, took.Seconds()})
		}
		return
	}
	w.Steps = append(w.Steps, Step{Name, false, took.Seconds()})
	w.Error = by + " answers there"
	if w.Hint == "" {
		w.Hint = "this leads to " + by + ": check url and domain of " + silo + " in silo.toml, and what serves them"
	}
}

// texts is what the logs have grown by.
func (d *diaries) texts() [][]byte {
	texts := make([][]byte, len(d.names))
	for i, name := range d.names {
		texts[i] = d.since(name, d.offsets[i])
	}
	return texts
}

func (d *diaries) since(name string, offset int64) []byte {
	file, err := os.Open(d.path(name))
	if err != nil {
		return nil // it has written nothing yet
	}
	defer func() { _ = file.Close() }()
	if info, err := file.Stat(); err == nil && info.Size() < offset {
		offset = 0 // another file by now
	}
	text, _ := io.ReadAll(io.NewSectionReader(file, offset, largest)) // as far as it goes
	return text
}

// author is the silo whose log has a mark; its own, if several have it.
func (d *diaries) author(texts [][]byte, mark, own string) *string {
	var by *string
	for i, text := range texts {
		if bytes.Contains(text, []byte(mark)) && (by == nil || d.names[i] == own) {
			by = &d.names[i]
		}
	}
	return by
}
