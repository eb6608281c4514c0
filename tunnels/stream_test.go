package tunnels

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
)

// dying is a connection of a session that dies: it may still read what it was given.
type dying struct {
	net.Conn
	kept []byte
}

var errDied = errors.New("the session has died")

func (d *dying) Write(p []byte) (int, error) { d.kept = p; return 0, errDied }

func (d *dying) Close() error { panic("the stream is touched again") }

func TestAStreamLeavesAFailedWriteAlone(t *testing.T) {
	t.Parallel()
	dead := &dying{}
	failed := newStream(dead)
	mine := bytes.Repeat([]byte("a"), 1000)
	if _, err := failed.Write(mine); !errors.Is(err, errDied) {
		t.Fatal(err)
	}
	clear(mine) // its owner's again
	near, far := net.Pipe()
	go func() { _, _ = io.Copy(io.Discard, far) }() // ends with near
	other := newStream(near)
	for range 10 {
		if n, err := other.Write(bytes.Repeat([]byte("b"), frameSize+1)); n != frameSize+1 || err != nil {
			t.Fatal(n, err)
		}
	}
	if err := errors.Join(other.Close(), failed.Close()); err != nil {
		t.Error(err)
	}
	if !bytes.Equal(dead.kept, bytes.Repeat([]byte("a"), 1000)) {
		t.Error("what the session may still read has been written over")
	}
	if _, err := failed.Write(mine); !errors.Is(err, net.ErrClosed) {
		t.Errorf("written again: %v", err)
	}
}
