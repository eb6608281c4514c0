package orchestrator

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"silo/ports"
)

func TestAssign(t *testing.T) {
	t.Parallel()
	got, err := assign(t.Context(), []ports.Request{
		{Name: "climbs", Port: 8000, Span: 2},
		{Name: "keeps", Port: 8002, Span: 2},
		{Name: "fixed", Port: 8001, Fixed: true, Span: 1},
		{Name: "any", Span: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got["any"] == 0 {
		t.Error("no port for any")
	}
	delete(got, "any")
	if diff := cmp.Diff(map[string]int{"climbs": 8004, "keeps": 8002, "fixed": 8001}, got); diff != "" {
		t.Errorf("ports (-want +got):\n%s", diff)
	}
}
