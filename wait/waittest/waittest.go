// Package waittest limits how long tests wait, so that a test that misses its event
// fails with a message instead of hanging until the package timeout.
package waittest

import (
	"testing"
	"time"
)

// Limit is how long a test waits for one event: far longer than any event takes
// on a busy machine.
const Limit = 30 * time.Second

// Receive returns the next value from ch, or the zero value once ch is closed. It
// fails the test if neither comes within Limit. what names the event in the message.
func Receive[T any](t testing.TB, ch <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(Limit):
		t.Fatalf("%s: nothing received within %v", what, Limit)
		panic("unreachable")
	}
}

// Until polls cond every two milliseconds and returns once it reports true. It
// fails the test if that takes longer than Limit. what names the condition in the message.
func Until(t testing.TB, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(Limit)
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: not true within %v", what, Limit)
		}
	}
}
