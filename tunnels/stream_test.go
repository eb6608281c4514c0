package tunnels

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"
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
	failed := newStream(dead, spawned)
	mine := bytes.Repeat([]byte("a"), 1000)
	if _, err := failed.Write(mine); !errors.Is(err, errDied) {
		t.Fatal(err)
	}
	clear(mine) // its owner's again
	near, far := net.Pipe()
	go func() { _, _ = io.Copy(io.Discard, far) }() // ends with near
	other := newStream(near, spawned)
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

// spawned runs a stream's pump, which ends with its stream.
func spawned(pump func()) bool { go pump(); return true }

// stalled is a connection of the SDK whose far end takes no more than its window.
type stalled struct {
	net.Conn
	window  int
	taken   chan struct{} // closed once the window is full
	release chan struct{} // what the far end or the session does in the end
	woken   chan struct{} // closed by a deadline that has gone by
	closed  chan struct{}
	writing sync.Mutex
}

func newStalled() *stalled {
	return &stalled{
		window: sureWindow, taken: make(chan struct{}), release: make(chan struct{}), woken: make(chan struct{}), closed: make(chan struct{}),
	}
}

func (s *stalled) Write(p []byte) (int, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.window -= len(p); s.window < 0 {
		close(s.taken)
		<-s.release
	}
	return len(p), nil
}

func (s *stalled) Read([]byte) (int, error) { <-s.woken; return 0, os.ErrDeadlineExceeded }

func (s *stalled) SetReadDeadline(at time.Time) error {
	if !at.IsZero() {
		close(s.woken)
	}
	return nil
}

// Close waits for a Write, as the SDK's does.
func (s *stalled) Close() error {
	s.writing.Lock()
	defer s.writing.Unlock()
	close(s.closed)
	return nil
}

func TestAStreamClosesBesideAWriteThatWaits(t *testing.T) {
	t.Parallel()
	far := newStalled()
	s := newStream(far, spawned)
	wrote, read := make(chan error, 1), make(chan error, 1)
	go func() {
		n, err := s.Write(make([]byte, 2*sureWindow))
		if n != sureWindow {
			err = fmt.Errorf("%d bytes, %w", n, err)
		}
		wrote <- err
	}()
	go func() { _, err := s.Read(make([]byte, 1)); read <- err }()
	<-far.taken
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := <-wrote; err != net.ErrClosed { //nolint:errorlint // with all that went through
		t.Errorf("the Write ends with %v", err)
	}
	if err := <-read; err == nil {
		t.Error("the Read gives something")
	}
	if err := s.SetReadDeadline(time.Time{}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("who reads may wait again: %v", err)
	}
	if n, err := s.Write([]byte("x")); n != 0 || !errors.Is(err, net.ErrClosed) {
		t.Errorf("written again: %d, %v", n, err)
	}
	close(far.release)
	<-far.closed // once the Write has ended
}
