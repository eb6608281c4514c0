package orchestrator

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"silo/state"
)

func TestSaverRetries(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "root")
	must(t, os.WriteFile(root, nil, 0o600)) // a file where a directory should be
	dir, err := state.DirFor(func(name string) (string, bool) { return root, name == "SILO_STATE_DIR" }, "/x/silo.toml")
	must(t, err)
	synctest.Test(t, func(t *testing.T) {
		warnings := 0
		p := &placement{hub: newSnapshotHub(), Host: Host{Dir: dir, Warn: func(string) { warnings++ }}}
		ready := &state.Snapshot{SchemaVersion: state.SchemaVersion, Name: "acme", State: state.InstanceReady}
		p.hub.publish(ready)
		s := startSaver(p)
		time.Sleep(3 * saveRetry)
		synctest.Wait()
		if warnings != 1 {
			t.Errorf("%d warnings, want one", warnings)
		}
		must(t, os.Remove(root))
		time.Sleep(time.Second)
		synctest.Wait()
		if last, err := dir.Last(); err != nil || last.State != state.InstanceReady {
			t.Errorf("a second later, the saved snapshot is %+v, %v", last, err)
		}
		must(t, s.stop(ready.AsStopped()))
		if last, err := dir.Last(); err != nil || last.State != state.InstanceStopped {
			t.Errorf("at the end, the saved snapshot is %+v, %v", last, err)
		}
	})
}

func TestSaverSkipsSnapshotsWhileStarting(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	dir, err := state.DirFor(func(name string) (string, bool) { return root, name == "SILO_STATE_DIR" }, "/x/silo.toml")
	must(t, err)
	saved := func() string {
		last, err := dir.Last()
		must(t, err)
		return last.Name
	}
	synctest.Test(t, func(t *testing.T) {
		p := &placement{hub: newSnapshotHub(), Host: Host{Dir: dir, Warn: func(text string) { t.Error(text) }}}
		publish := func(name string, phase state.InstanceState) {
			p.hub.publish(&state.Snapshot{SchemaVersion: state.SchemaVersion, Name: name, State: phase})
			synctest.Wait()
		}
		publish("a", state.InstanceStarting)
		s := startSaver(p)
		synctest.Wait()
		publish("b", state.InstanceStarting)
		publish("c", state.InstanceStarting)
		if got := saved(); got != "a" {
			t.Errorf("%s is saved within the interval, want a", got)
		}
		time.Sleep(saveInterval)
		synctest.Wait()
		if got := saved(); got != "c" {
			t.Errorf("%s is saved after the interval, want c", got)
		}
		publish("d", state.InstanceReady)
		if got := saved(); got != "d" {
			t.Errorf("%s is saved when the instance is ready, want d", got)
		}
		must(t, s.stop(&state.Snapshot{SchemaVersion: state.SchemaVersion}))
	})
}
