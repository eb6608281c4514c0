package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Instances returns the last snapshots of all instances under the state root. It marks
// those whose supervisor no longer holds its lock as stopped, and omits unreadable
// ones.
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
		if strings.HasPrefix(entry.Name(), forgotten) {
			continue
		}
		d := &Dir{Path: filepath.Join(root, entry.Name()), Key: entry.Name(), root: root}
		last, err := d.Last()
		if err != nil {
			continue
		}
		if !d.Running() {
			last = last.AsFound()
		}
		found = append(found, *last)
	}
	return found, nil
}

// FindByPort returns the running instance that uses a port: the listening process pid is
// its supervisor or a silo, or the instance assigned the port to a running silo, whose
// child may be listening. It ignores unmanaged silos.
func FindByPort(env Lookup, pid, port int) (instance Snapshot, found bool) {
	all, err := Instances(env)
	if err != nil {
		return Snapshot{}, false
	}
	for _, s := range all {
		if s.State == InstanceStopped {
			continue
		}
		silo := func(silo Silo) bool {
			return s.Manages(silo) && silo.PID != nil && (*silo.PID == pid || silo.Port == port || silo.HealthPort == port)
		}
		if same(s.PID, pid) || slices.ContainsFunc(s.Silos, silo) {
			return s, true
		}
	}
	return Snapshot{}, false
}

func same(known *int, pid int) bool { return known != nil && *known == pid }

// killed is the reason for an instance that has ended without saving a last snapshot.
const killed = "the supervisor was killed or crashed"

// AsFound returns the last snapshot of an instance that is not running, marked as
// stopped. If its supervisor did not record its own end, the instance and each silo
// that ran get the reason "killed or crashed". Their exits are unknown and left empty.
func (s *Snapshot) AsFound() *Snapshot {
	left := s.AsStopped()
	if s.State == InstanceStopped {
		return left
	}
	left.Reason = new(killed)
	for i := range left.Silos {
		if silo := &left.Silos[i]; s.Manages(*silo) && s.Silos[i].PID != nil && silo.State == Stopped {
			silo.Reason, silo.Exit = new(killed), nil
		}
	}
	return left
}

// AsCleanedUp returns a snapshot of AsFound without the reasons that AsFound added, for
// use after Clean.
func (s *Snapshot) AsCleanedUp() *Snapshot {
	cleared := s.AsStopped()
	cleared.Reason = nil
	for i := range cleared.Silos {
		if reason := cleared.Silos[i].Reason; reason != nil && *reason == killed {
			cleared.Silos[i].Reason = nil
		}
	}
	return cleared
}

// AsStopped returns the snapshot marked as stopped, without processes. It keeps addresses,
// exits and reasons.
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
