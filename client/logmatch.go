package client

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"time"

	"silo/state"
	"silo/wait"
)

// siloLogs are the silos' logs, read from a given moment. A devserver logs each request
// with its query (uWSGI's log-format, sentry/runner/commands/devserver.py, all releases).
// That shows which silo answered, even through a tunnel that silo did not open, and
// between two regions.
type siloLogs struct {
	dir   string
	sizes map[string]int64 // by silo, at that moment
}

// logDelay is how long after the response a line may appear in a log.
const logDelay = 250 * time.Millisecond

func openLogs(dir string, snapshot *state.Snapshot) siloLogs {
	l := siloLogs{dir: dir, sizes: map[string]int64{}}
	if dir == "" {
		return l
	}
	for _, s := range snapshot.Silos {
		if !snapshot.Manages(s) {
			continue // it writes to the user's terminal
		}
		l.sizes[s.Name] = 0
		if info, err := os.Stat(l.path(s.Name)); err == nil {
			l.sizes[s.Name] = info.Size()
		}
	}
	return l
}

func (l *siloLogs) path(silo string) string { return filepath.Join(l.dir, silo+".log") }

// match finds the silo that answered on each way with a response.
func (l *siloLogs) match(ctx context.Context, silos []CheckedSilo) {
	began := time.Now()
	for delay := time.Millisecond; len(l.sizes) > 0; delay *= 2 {
		if l.matchNew(silos, began) || time.Since(began)+delay > logDelay || !wait.Sleep(ctx, delay) {
			return
		}
	}
}

// matchNew searches new log text once. It reports whether every way is matched.
func (l *siloLogs) matchNew(silos []CheckedSilo, began time.Time) bool {
	texts := map[string][]byte{}
	for name := range l.sizes {
		texts[name] = l.newText(name)
	}
	done := true
	for i := range silos {
		own := silos[i].Name
		for w := range silos[i].Ways {
			way := &silos[i].Ways[w]
			if way.Answered != nil || way.Status == nil {
				continue
			}
			for name, text := range texts {
				// If several silos logged it, this one answered: it does not forward requests.
				if bytes.Contains(text, []byte(way.mark)) && (way.Answered == nil || name == own) {
					way.Answered = &name
				}
			}
			switch {
			case way.Answered == nil:
				done = false
			case *way.Answered != own:
				way.addStep(Name, false, began)
				way.Error = *way.Answered + " answers there"
				if way.Hint == "" {
					way.Hint = "this leads to " + *way.Answered + ": check url and domain of " + own + " in silo.toml, and the servers behind them"
				}
			case way.Error == "":
				way.addStep(Name, true, began)
			}
		}
	}
	return done
}

// newText returns the text that was added to a silo's log, up to maxRead bytes.
func (l *siloLogs) newText(silo string) []byte {
	file, err := os.Open(l.path(silo))
	if err != nil {
		return nil // nothing was logged yet
	}
	defer func() { _ = file.Close() }()
	offset := l.sizes[silo]
	if info, err := file.Stat(); err == nil && info.Size() < offset {
		offset = 0 // the log was rotated
	}
	text, _ := io.ReadAll(io.NewSectionReader(file, offset, maxRead)) // best effort
	return text
}
