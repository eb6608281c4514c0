package proxy

import (
	"context"
	"sync/atomic"
)

// inboundContext is the context of all requests of an inbound connection, of which
// there is one at a time. It knows where that is answered: to ask a context for a
// call at its end, and take that back, costs half a microsecond.
type inboundContext struct {
	context.Context //nolint:containedctx // it is one

	asked atomic.Pointer[wire] // nil: none; whoever takes it away may do with it what he likes
}

func newInboundContext(parent context.Context) (*inboundContext, context.CancelFunc) {
	ctx, cancel := context.WithCancel(parent)
	c := &inboundContext{Context: ctx}
	stop := context.AfterFunc(ctx, c.wake)
	return c, func() {
		if stop() {
			defer c.wake()
		}
		cancel()
	}
}

// wake ends the exchange that is under way.
func (c *inboundContext) wake() {
	if w := c.asked.Swap(nil); w != nil {
		w.wake()
	}
}

// bond ties a wire to the context of its request, whose end it ends with.
type bond struct {
	wire *wire
	of   *inboundContext // nil: of another kind
	stop func() bool     // of that
}

func (w *wire) bind(ctx context.Context) bond {
	of, is := ctx.(*inboundContext)
	if !is {
		return bond{wire: w, stop: context.AfterFunc(ctx, w.wake)}
	}
	of.asked.Store(w)
	if of.Err() != nil { // and its call may have come before
		of.wake()
	}
	return bond{wire: w, of: of}
}

// release unties the wire. False: the context has ended, and the wire's deadline has
// come or is coming.
func (b bond) release() bool {
	if b.of != nil {
		return b.of.asked.CompareAndSwap(b.wire, nil)
	}
	return b.stop()
}
