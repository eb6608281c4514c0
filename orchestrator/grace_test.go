package orchestrator

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"silo/state"
)

// What a devserver has started ends in its own time, too, also where the devserver
// itself is the first to go.
func TestWorkersHaveTheGraceOfTheirSilo(t *testing.T) {
	t.Parallel()
	for name, stop := range map[string]func(*bench){
		"stop": func(b *bench) { must(t, b.Stop("us")) },
		"down": func(b *bench) { b.Down(false) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "worker")
			says := func() string { text, _ := os.ReadFile(file); return string(text) }
			b := startAs(t, "leads", "", fmt.Sprintf("env = { PLAY_FILE = %q }", file))
			must(t, b.Await(t.Context()))
			for end := time.Now().Add(5 * time.Second); says() != "works"; time.Sleep(time.Millisecond) {
				if time.Now().After(end) {
					t.Fatal("the worker does not work")
				}
			}
			stop(b)
			b.until(t, "stopped", func() bool { return b.us().State == state.Stopped })
			if says() != "in order" {
				t.Errorf("the worker was killed: it %s", says())
			}
		})
	}
}
