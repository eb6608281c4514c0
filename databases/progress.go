package databases

import (
	"bytes"
	"os"
	"strings"
	"sync"
	"time"
)

// Stage is how far a migration has come.
type Stage string

// The stages: a migration waits, runs, and comes to one of three ends.
const (
	Waiting   Stage = ""
	Migrating Stage = "migrating"
	Migrated  Stage = "migrated"
	Failed    Stage = "failed"
	Stopped   Stage = "stopped" // before it was through, by the end of the context
)

// Progress is how the migration of one silo's database stands.
type Progress struct {
	Silo  string
	Stage Stage
	Began time.Time     // zero while it waits
	Took  time.Duration // of one that is over; else zero
	Line  string        // the last line that it wrote, raw
	Tail  []string      // the last lines of one that has failed, raw; at most 20
}

// The bounds of what is kept of a migration's output beside its log.
const (
	tailMax   = 16 << 10 // bytes
	lastLines = 20
)

// job is the migration of one database.
type job struct {
	log *os.File // of its one goroutine

	mu   sync.Mutex // guards all below
	now  Progress
	tail []byte // the end of its output
}

// Write takes what a migration says. It is called by the process's goroutine alone.
func (j *job) Write(block []byte) (int, error) {
	j.mu.Lock()
	j.tail = append(j.tail, block...)
	j.tail = j.tail[max(0, len(j.tail)-tailMax):]
	// What it is at is the last line that has something on it, or what a bar has drawn over it.
	if lines := bytes.FieldsFunc(j.tail, func(r rune) bool { return r == '\n' || r == '\r' }); len(lines) > 0 {
		j.now.Line = strings.TrimSpace(string(lines[len(lines)-1]))
	}
	j.mu.Unlock()
	return j.log.Write(block)
}

// enter begins a stage.
func (j *job) enter(stage Stage) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.now.Stage = stage
	if stage == Migrating {
		j.now.Began = time.Now()
		return
	}
	j.now.Took = max(time.Since(j.now.Began), 1)
	if said := strings.TrimRight(string(j.tail), "\n"); stage == Failed && said != "" {
		lines := strings.Split(said, "\n")
		j.now.Tail = lines[max(0, len(lines)-lastLines):]
	}
}

// seen is how it stands.
func (j *job) seen() Progress {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.now
}
