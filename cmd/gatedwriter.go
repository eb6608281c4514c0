package cmd

import (
	"io"
	"sync/atomic"
)

// gatedWriter discards writes until it is open.
type gatedWriter struct {
	out     io.Writer
	open    atomic.Bool
	onError func() // called after every failed write
}

func (g *gatedWriter) Write(p []byte) (int, error) {
	if !g.open.Load() {
		return len(p), nil
	}
	n, err := g.out.Write(p)
	if err != nil {
		g.onError()
	}
	return n, err
}
