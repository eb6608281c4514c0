package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
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
			last = last.AsFound()
		}
		found = append(found, *last)
	}
	return found, nil
}

// FindByPort is the running instance that has a port: whoever listens there is its
// supervisor or a silo of its own, or it has given the port to one that runs, where a
// child of the silo may listen. False where that is none, or is not silo's to end.
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
			return same(silo.PID, pid) || silo.PID != nil && (silo.Port == port || silo.HealthPort == port)
		}
		if same(s.PID, pid) || s.IsManaged() && slices.ContainsFunc(s.Silos, silo) {
			return s, true
		}
	}
	return Snapshot{}, false
}

func same(known *int, pid int) bool { return known != nil && *known == pid }

// killed is why an instance has ended that did not record its end. Nobody saw what
// ended it.
const killed = "the supervisor was killed, or ended without a word"

// AsFound is the last snapshot of an instance that does not run, as it stands: where
// its supervisor has not recorded the end, that is the reason, its own and that of
// each silo that it had running. How those ended nobody has seen: they have no exit.
func (s *Snapshot) AsFound() *Snapshot {
	left := s.AsStopped()
	if s.State == InstanceStopped {
		return left
	}
	left.Reason = new(killed)
	for i := range left.Silos {
		if silo := &left.Silos[i]; s.IsManaged() && s.Silos[i].PID != nil && silo.State == Stopped {
			silo.Reason, silo.Exit = new(killed), nil
		}
	}
	return left
}

// AsCleanedUp is a snapshot of AsFound once what was left has been cleared away: there is
// no more to say of it.
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
