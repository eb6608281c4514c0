package topology_test

import (
	"slices"
	"strings"
	"testing"

	"silo/topology"
)

func TestNearest(t *testing.T) {
	t.Parallel()
	verbs := []string{"start", "status", "stop", "up", "down"}
	for word, want := range map[string]string{
		"stauts": "start status", "stat": "start status", "STOP": "stop", "st": "", "dwn": "down", "xyz": "", "statuses": "status",
	} {
		if got := strings.Join(topology.Nearest(word, verbs), " "); got != want {
			t.Errorf("%s: got %q, want %q", word, got, want)
		}
	}
	if got := topology.Nearest("host-header", []string{"host_header"}); !slices.Equal(got, []string{"host_header"}) {
		t.Errorf("hyphen for underscore: got %q", got)
	}
}
