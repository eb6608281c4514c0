package ui_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"silo/state"
)

func TestIssuesAreLimited(t *testing.T) {
	t.Parallel()
	s := state.Snapshot{Name: "acme", State: state.InstanceDegraded}
	for i := range 10 {
		s.Silos = append(s.Silos, state.Silo{Name: fmt.Sprint("region-", i), State: state.Failed})
	}
	var out bytes.Buffer
	surrounding{columns: 80, env: map[string]string{"NO_COLOR": "1"}}.printer(&out, nil).Status(s)
	if got := strings.Count(out.String(), "hint:"); got != 8 || !strings.Contains(out.String(), "and 2 more: silo status --json") {
		t.Errorf("%d hints in\n%s", got, out.String())
	}
}

// The exit of an earlier process is not a reason of a ready silo.
func TestReadySiloHasNoReason(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	surrounding{}.printer(&out, nil).Status(state.Snapshot{Silos: []state.Silo{{Name: "us", State: state.Ready, Exit: &state.Exit{Code: new(1)}}}})
	if !strings.HasSuffix(out.String(), " -\n") || strings.Contains(out.String(), "exited") {
		t.Errorf("got\n%s", out.String())
	}
}

func TestSilentInstance(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	s := state.Snapshot{Name: "acme", State: state.InstanceReady, File: "/acme/silo.toml", Silos: []state.Silo{{Name: "us", State: state.Ready}}}
	surrounding{}.printer(&out, nil).Instances([]state.Snapshot{s}, map[string]bool{s.File: true})
	if got := strings.Join(strings.Fields(out.String()), " "); !strings.Contains(got, "acme silent ?/1") {
		t.Errorf("got %s", got)
	}
}
