package proc

import "context"

// BecomeSubreaper does nothing on macOS: orphans go to launchd, and trees are found by
// session and marker.
func BecomeSubreaper() error { return nil }

// Reap waits for ctx to end: there is nobody to reap on macOS.
func Reap(ctx context.Context) { <-ctx.Done() }

func reapAdopted() {}

func adoptedPIDs() []int { return nil }
