package wait_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"silo/wait"
)

func TestSleep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		if !wait.Sleep(t.Context(), time.Minute) || time.Since(start) != time.Minute {
			t.Errorf("slept for %v, want a minute", time.Since(start))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start = time.Now()
		if wait.Sleep(ctx, time.Minute) || time.Since(start) != time.Second {
			t.Errorf("a context of one second let it sleep for %v", time.Since(start))
		}
	})
}
