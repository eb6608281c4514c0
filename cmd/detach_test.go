package cmd

import (
	"errors"
	"os"
	"slices"
	"testing"

	"silo/state"
)

// A supervisor that ends just after its silos were ready is a failure with its last words.
func TestSupervisorThatEndsWhenReady(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	env := func(name string) (string, bool) { return root, name == "SILO_STATE_DIR" || name == "XDG_RUNTIME_DIR" }
	dir, err := state.DirFor(env, "/srv/acme/silo.toml")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.MkdirAll(dir.Path, 0o700), os.WriteFile(dir.SupervisorLog(), []byte("one\ntwo\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	err = (&app{}).showStarted(t.Context(), &upRequest{dir: dir})
	v := new(exitStatus)
	if !errors.As(err, &v) || v.Code != exitFailed || !slices.Equal(v.Detail, []string{"one", "two"}) || len(v.Hints) == 0 {
		t.Errorf("got %+v", err)
	}
}
