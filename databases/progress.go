package databases

import (
	"bytes"
	"os"
	"strings"
	"sync"
	"time"

	"silo/sentry"
)

// Stage is the stage of a migration. It is empty before the migration starts.
type Stage string

// The stages of a migration. The last three are final.
const (
	Migrating Stage = "migrating"
	Migrated  Stage = "migrated"
	Failed    Stage = "failed"
	Stopped   Stage = "stopped" // interrupted by its context
)

// Progress is the progress of one database's migration.
type Progress struct {
	Silo  string
	Stage Stage
	Began time.Time     // zero while it waits
	Took  time.Duration // zero until it ends
	Line  string        // the last line of output, raw
	Tail  []string      // if it failed, the last lines of output, raw; at most 20
}

// Limits of the output that is kept in memory.
const (
	maxTail   = 16 << 10 // bytes
	tailLines = 20
)

// job is the migration of one database.
type job struct {
	set      *Set
	conf     string           // SENTRY_CONF
	database *sentry.Database // used only by run until it returns
	log      *os.File         // used only by the process's output goroutine

	mu   sync.Mutex // guards the fields below
	now  Progress
	tail []byte // the end of the output
}

// Write stores output of the migration. Only the process's output goroutine calls it.
func (j *job) Write(block []byte) (int, error) {
	j.mu.Lock()
	j.tail = append(j.tail, block...)
	j.tail = j.tail[max(0, len(j.tail)-maxTail):]
	// A progress bar overwrites its line after a carriage return.
	if lines := bytes.FieldsFunc(j.tail, func(r rune) bool { return r == '\n' || r == '\r' }); len(lines) > 0 {
		j.now.Line = strings.TrimSpace(string(lines[len(lines)-1]))
	}
	j.mu.Unlock()
	return j.log.Write(block)
}

func (j *job) enter(stage Stage) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.now.Stage = stage
	if stage == Migrating {
		j.now.Began = time.Now()
		return
	}
	j.now.Took = max(time.Since(j.now.Began), 1)
	if output := strings.TrimRight(string(j.tail), "\n"); stage == Failed && output != "" {
		lines := strings.Split(output, "\n")
		j.now.Tail = lines[max(0, len(lines)-tailLines):]
	}
}

func (j *job) progress() Progress {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.now
}
