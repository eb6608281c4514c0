package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Instances are the last snapshots of all instances under the state root, each
// with the state that its lock proves: a snapshot whose supervisor is gone is
// shown as stopped. One that cannot be read is left out.
func Instances(env Lookup) ([]Snapshot, error) {
	root, err := Root(env)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list instances: %w", err)
	}
	var found []Snapshot
	for _, entry := range entries {
		d := &Dir{Path: filepath.Join(root, entry.Name()), Key: entry.Name(), root: root}
		last, err := d.Last()
		if err != nil {
			continue
		}
		if !d.Running() {
			last = last.AsStopped()
		}
		found = append(found, *last)
	}
	return found, nil
}

// AsStopped is the snapshot as it stands once no supervisor is left: nothing
// runs, while addresses, exits and reasons stay to be read.
func (s *Snapshot) AsStopped() *Snapshot {
	stopped := *s
	stopped.State = InstanceStopped
	stopped.PID = nil
	stopped.Dashboard = nil
	stopped.Silos = make([]Silo, len(s.Silos))
	for i, silo := range s.Silos {
		if silo.State != Failed {
			silo.State = Stopped
		}
		silo.PID, silo.ProcessTime, silo.CPUPercent, silo.RSSBytes = nil, nil, nil, nil
		silo.Tunnel = Tunnel{State: TunnelNone}
		stopped.Silos[i] = silo
	}
	return &stopped
}
