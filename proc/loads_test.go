package proc

import (
	"os"
	"testing"
)

func TestLoadsTellTreesApart(t *testing.T) {
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
	for len(trees[0].Tree()) < 2 { // sh has not forked yet
		if t.Context().Err() != nil {
			t.Fatal("sh never forks")
		}
	}
	loads := Loads(trees)
	if loads[0].RSS <= loads[1].RSS || loads[1].RSS == 0 {
		t.Errorf("two processes use %d bytes, one %d", loads[0].RSS, loads[1].RSS)
	}
	trees[1].Sweep(t.Context())
	if after := Loads(trees); after[1] != (Load{}) || after[0].RSS == 0 {
		t.Errorf("after the end of one: %+v", after)
	}
}
