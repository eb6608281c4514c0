package proc

import "context"

// BecomeSubreaper does nothing on macOS: orphans go to launchd, and trees are found
// by session and marker.
func BecomeSubreaper() error { return nil }

// Reap blocks until ctx ends: macOS has no subreapers.
func Reap(ctx context.Context) { <-ctx.Done() }

func reapOrphans() {}
