package cmd

import (
	"io"

	"silo/logs"
	"silo/ui"
)

// terminal is the method by which ui finds out whether a writer is a terminal.
type terminal interface{ Fd() uintptr }

// lossy returns a writer that drops output if to stalls. If to is a terminal, so is
// the result.
func lossy(to io.Writer) io.Writer {
	w := logs.NewLossyWriter(to)
	if t, ok := to.(terminal); ok {
		return struct {
			*logs.LossyWriter
			terminal
		}{w, t}
	}
	return w
}

// detachOutput makes this process independent of the readers of its messages, as a
// supervisor must be. It returns the original standard output, for the silos' lines.
func (a *app) detachOutput() io.Writer {
	lines := a.Stdout
	a.lossyOutput = true
	a.Stdout, a.Stderr = lossy(a.Stdout), lossy(a.Stderr)
	a.setPrinters(a.color)
	return lines
}

// detachMessages does the same only for messages: the command that exec runs has the
// output and the terminal.
func (a *app) detachMessages() {
	a.messages = ui.New(lossy(a.Stderr), ui.Options{Color: a.color, Env: a.lookup})
}
