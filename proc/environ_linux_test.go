package proc

import (
	"slices"
	"strconv"
	"strings"
	"testing"
)

// For a process without an environment, the lookup returns its parent's.
func TestLookupEnv(t *testing.T) {
	t.Parallel()
	tr := startTree(t, `env -i sh -c 'echo bare $$; exec sleep 100' & echo first; wait`, "SILO_A=1", "SILO_B=two=2", "SILO_C=")
	tr.output.await(t, "bare ", 1)
	tr.output.await(t, "\n", 2)
	bare := 0
	for line := range strings.Lines(tr.output.String()) {
		if number, is := strings.CutPrefix(line, "bare "); is {
			bare, _ = strconv.Atoi(strings.TrimSpace(number))
		}
	}
	for name, pid := range map[string]int{"itself": tr.PID(), "bare": bare} {
		if values, ok := LookupEnv(pid, "SILO_B", "SILO_A", "SILO_C"); !ok || !slices.Equal(values, []string{"two=2", "1", ""}) {
			t.Errorf("%s (%d): %q, %v", name, pid, values, ok)
		}
		if values, ok := LookupEnv(pid, "SILO_A", "SILO_UNSET"); ok {
			t.Errorf("%s: an unset variable is found: %q", name, values)
		}
	}
	if values, ok := LookupEnv(0, "PATH"); ok {
		t.Errorf("process 0 has %q", values)
	}
}
