package cmd

import (
	"io"
	"sync/atomic"
)

// gate lets writes through once it is open, and swallows them before.
type gate struct {
	out  io.Writer
	open atomic.Bool
}

func (g *gate) Write(p []byte) (int, error) {
	if !g.open.Load() {
		return len(p), nil
	}
	return g.out.Write(p)
}
