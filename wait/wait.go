// Package wait sleeps no longer than a context allows.
//
// It knows nothing about silos; every package may import it.
package wait

import (
	"context"
	"time"
)

// Sleep blocks for d, or until ctx is done. It reports whether d has passed.
func Sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
