package cmd

import (
	"io"
	"sync"
	"sync/atomic"
)

// gate lets writes through once it is open, and swallows them before.
type gatedWriter struct {
	out    io.Writer
	open   atomic.Bool
	broken func() // called once when nobody takes what is written any more
	once   sync.Once
}

func (g *gatedWriter) Write(p []byte) (int, error) {
	if !g.open.Load() {
		return len(p), nil
	}
	n, err := g.out.Write(p)
	if err != nil {
		g.once.Do(g.broken)
	}
	return n, err
}
