package state

import (
	"errors"
	"io/fs"
	"testing"
)

func TestHolder(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	env := func(name string) (string, bool) { return root, name == "SILO_STATE_DIR" }
	dir, err := DirFor(env, "/srv/acme/silo.toml")
	if err != nil {
		t.Fatal(err)
	}
	want := Holder{PID: 42, ProcessTime: "4711"}
	if err := errors.Join(dir.Acquire(t.Context()), dir.RecordHolder(want)); err != nil {
		t.Fatal(err)
	}
	other, err := DirFor(env, "/srv/acme/silo.toml")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := other.Holder(); got != want || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
	if err := dir.Release(); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Holder(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after Release: %v", err)
	}
}
