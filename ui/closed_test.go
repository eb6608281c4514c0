package ui_test

import (
	"context"
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"silo/ui"
	"silo/wait/waittest"
)

func TestContextEndsWhenTheReaderCloses(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(*testing.T) (reader, writer *os.File){"pipe": pipe, "socket": socket} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reader, writer := open(t)
			p := ui.New(writer, ui.Options{})
			ctx, stop := p.CancelWhenClosed(t.Context())
			defer stop()
			if p.ReaderClosed() || ctx.Err() != nil {
				t.Fatal("an open reader counts as closed")
			}
			if err := reader.Close(); err != nil {
				t.Fatal(err)
			}
			waittest.Receive(t, ctx.Done(), "the end of the context")
			if !p.ReaderClosed() {
				t.Error("a closed reader counts as open")
			}
		})
	}
}

func TestCancelStopsLookingForTheReader(t *testing.T) {
	t.Parallel()
	_, writer := pipe(t)
	ctx, stop := ui.New(writer, ui.Options{}).CancelWhenClosed(t.Context())
	stop()
	if !errors.Is(ctx.Err(), context.Canceled) {
		t.Error("the context is not canceled")
	}
}

func TestOutputFileIsNotClosed(t *testing.T) {
	t.Parallel()
	file, err := os.Create(t.TempDir() + "/out")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	if ui.New(file, ui.Options{}).ReaderClosed() {
		t.Error("ReaderClosed is true for a file")
	}
}

func pipe(t *testing.T) (reader, writer *os.File) {
	t.Helper()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	return both(t, reader, writer)
}

func socket(t *testing.T) (reader, writer *os.File) {
	t.Helper()
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	return both(t, os.NewFile(uintptr(ends[0]), "reader"), os.NewFile(uintptr(ends[1]), "writer"))
}

func both(t *testing.T, reader, writer *os.File) (*os.File, *os.File) {
	t.Helper()
	t.Cleanup(func() { _, _ = reader.Close(), writer.Close() }) // the reader may be closed already
	return reader, writer
}
