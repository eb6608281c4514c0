package orchestrator

import (
	"fmt"
	"testing"
	"time"
)

// A region that is taken out of the topology before it has a process has ended
// before Apply returns: what it had is closed then.
func TestApplyWaitsForWhatIsBeingStarted(t *testing.T) {
	t.Parallel()
	b := start(t, "plain", "")
	must(t, b.Await(t.Context()))
	forks, goOn := make(chan struct{}), make(chan struct{})
	before := func() { forks <- struct{}{}; <-goOn }
	b.before.Store(&before)
	_, err := b.Apply(t.Context(), b.plan(fmt.Sprintf("[region.eu]\nid = 2\nport = 0\nenv = { %s = \"plain\" }\n", playEnv)))
	must(t, err)
	<-forks
	b.before.Store(nil)
	applied := make(chan error, 1)
	go func() { _, err := b.Apply(t.Context(), b.plan("")); applied <- err }()
	select {
	case err := <-applied:
		close(goOn)
		t.Fatalf("it does not wait: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	close(goOn)
	must(t, <-applied)
}
