package proxy

import (
	"context"
	"testing"
)

// A wire that the end of a context has touched is told from one that it has not,
// whatever kind the context is of and whenever it ends.
func TestAWireIsReleasedOnlyWhole(t *testing.T) {
	t.Parallel()
	kinds := map[string]func() (context.Context, context.CancelFunc){
		"of an inlet": func() (context.Context, context.CancelFunc) { return newInboundContext(t.Context()) },
		"of an inlet, whose parent ends": func() (context.Context, context.CancelFunc) {
			parent, cancel := context.WithCancel(t.Context())
			ctx, gone := newInboundContext(parent)
			t.Cleanup(gone)
			return ctx, cancel
		},
		"any": func() (context.Context, context.CancelFunc) { return context.WithCancel(t.Context()) },
	}
	for name, begin := range kinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			near, _ := newSockets(t)
			w := &wire{conn: near}
			ctx, end := begin()
			for range 2 { // one after the other
				if !w.bind(ctx).release() {
					t.Fatal("the context has not ended")
				}
			}
			held := w.bind(ctx)
			end()
			if _, err := near.Read(make([]byte, 1)); err == nil {
				t.Fatal("it does not end with its context")
			}
			if held.release() {
				t.Error("released, though it was ended")
			}
			late, _ := newSockets(t)
			w = &wire{conn: late}
			held = w.bind(ctx)
			if _, err := late.Read(make([]byte, 1)); err == nil {
				t.Fatal("it does not end with a context that has ended")
			}
			if held.release() {
				t.Error("released, though it was ended at once")
			}
		})
	}
}
