package proc

import (
	"os"
	"testing"

	"silo/wait/waittest"
)

func TestMeasureSeparatesTrees(t *testing.T) {
	t.Parallel()
	var trees []*Process
	for _, script := range []string{"sleep 60 & wait", "exec sleep 60"} {
		p, err := Start(Spec{Argv: []string{"sh", "-c", script}, Env: os.Environ()})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Sweep(t.Context())
		trees = append(trees, p)
	}
	waittest.Until(t, "both shells run sleep", func() bool {
		first, second := trees[0].Tree(), trees[1].Tree()
		return len(first) == 2 && first[1].Name == "sleep" && len(second) == 1 && second[0].Name == "sleep"
	})
	loads := Measure(trees)
	if loads[0].RSS <= loads[1].RSS || loads[1].RSS == 0 {
		t.Errorf("two processes use %d bytes, one uses %d", loads[0].RSS, loads[1].RSS)
	}
	trees[1].Sweep(t.Context())
	if after := Measure(trees); after[1] != (Usage{}) || after[0].RSS == 0 {
		t.Errorf("after the end of the second tree: %+v", after)
	}
}
