package orchestrator

import (
	"fmt"
	"testing"
	"time"
)

// A region that is taken out of the topology while it is being started has ended
// before Apply returns: what it had is closed then.
func TestApplyWaitsForWhatIsBeingStarted(t *testing.T) {
	t.Parallel()
	b := start(t, "plain", "")
	must(t, b.Await(t.Context()))
	more := fmt.Sprintf("[region.eu]\nid = 2\nport = 0\nenv = { %s = \"plain\" }\n", playEnv)
	full, less := b.plan(more), b.plan("")
	for round := range 20 {
		_, err := b.Apply(t.Context(), full)
		must(t, err)
		time.Sleep(time.Duration(round%5) * time.Millisecond)
		_, err = b.Apply(t.Context(), less)
		must(t, err)
		if left := len(b.Snapshot().Silos); left != 2 {
			t.Fatalf("round %d: there are still %d silos", round, left)
		}
	}
}
