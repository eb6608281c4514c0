package state

import (
	"os"
	"path/filepath"
)

// Holder is the process that holds an instance's lock. A supervisor records itself before
// it does anything that may hang, so that it can be ended before its first snapshot.
type Holder struct {
	PID         int    `json:"pid"`
	ProcessTime string `json:"process_time"` // start time, as the kernel gives it
}

const holderFile = "holder.json"

// RecordHolder records the process that holds the lock. Release and the next Acquire
// remove the record.
func (d *Dir) RecordHolder(h Holder) error { return d.saveJSON(holderFile, h) }

// Holder returns the recorded process. It fails if there is none; the caller checks that
// the process is alive.
func (d *Dir) Holder() (Holder, error) {
	var h Holder
	err := d.loadJSON(holderFile, &h)
	return h, err
}

func (d *Dir) removeHolder() { _ = os.Remove(filepath.Join(d.Path, holderFile)) }
