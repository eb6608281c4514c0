package tunnels

import (
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"silo/wait/waittest"
)

// fakeStream is an SDK stream whose far end never reads or writes. Its Close waits for a
// Write in progress, as the SDK's does.
type fakeStream struct {
	net.Conn
	fail    error         // returned by Write at once; nil: Write waits for release
	writing chan []byte   // gets the bytes of each Write
	release chan struct{} // ends a Write that waits
	closed  chan struct{}

	mu   sync.Mutex // held by Write
	once sync.Once
}

func newFakeStream() *fakeStream {
	return &fakeStream{writing: make(chan []byte, 1), release: make(chan struct{}), closed: make(chan struct{})}
}

func (s *fakeStream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writing <- p
	if s.fail != nil {
		return 0, s.fail
	}
	<-s.release
	return len(p), nil
}

func (s *fakeStream) Read([]byte) (int, error) { <-s.closed; return 0, io.EOF }
func (s *fakeStream) RemoteAddr() net.Addr     { return &net.TCPAddr{Port: 7} }

func (s *fakeStream) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.once.Do(func() { close(s.closed) })
	return nil
}

func spawnForTest(f func()) bool { go f(); return true }

func TestPipedConnClosesDuringAStalledWrite(t *testing.T) {
	t.Parallel()
	stream := newFakeStream()
	conn := pipeStream(stream, spawnForTest)
	if got := conn.RemoteAddr().String(); got != ":7" {
		t.Errorf("remote address %q", got)
	}
	wrote, read := make(chan error, 1), make(chan error, 1)
	go func() { _, err := conn.Write(make([]byte, 2*pipeBuffer)); wrote <- err }()
	go func() { _, err := conn.Read(make([]byte, 1)); read <- err }()
	waittest.Receive(t, stream.writing, "a write on the stream")
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	if err := waittest.Receive(t, wrote, "the end of Write"); err == nil {
		t.Error("Write succeeded although the stream accepted only a part")
	}
	if err := waittest.Receive(t, read, "the end of Read"); err == nil {
		t.Error("Read succeeded on a closed connection")
	}
	select {
	case <-stream.closed:
		t.Error("the stream was closed during its Write")
	default:
	}
	close(stream.release)
	waittest.Receive(t, stream.closed, "the stream's Close")
}

// A dead session may still read the buffer of a Write that has failed.
func TestPipedConnDoesNotCloseAFailedStream(t *testing.T) {
	t.Parallel()
	stream := newFakeStream()
	stream.fail = errors.New("the session has died")
	conn := pipeStream(stream, spawnForTest)
	mine := []byte(strings.Repeat("a", 1000))
	if _, err := conn.Write(mine); err != nil {
		t.Fatal(err)
	}
	clear(mine)
	kept := waittest.Receive(t, stream.writing, "a write on the stream")
	waittest.Until(t, "Write fails", func() bool { _, err := conn.Write([]byte("b")); return err != nil })
	_ = conn.Close()
	if string(kept) != strings.Repeat("a", 1000) {
		t.Error("the buffer of the failed Write was overwritten")
	}
	select {
	case <-stream.closed:
		t.Error("the stream was closed after its Write failed")
	default:
	}
	close(stream.closed) // ends the reader
}

func TestPipedConnEndsWithItsStream(t *testing.T) {
	t.Parallel()
	stream := newFakeStream()
	conn := pipeStream(stream, spawnForTest)
	_ = stream.Close()
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("Read: %v, want EOF", err)
	}
}

func TestPipedConnOfAClosedProvider(t *testing.T) {
	t.Parallel()
	stream := newFakeStream()
	conn := pipeStream(stream, func(func()) bool { return false })
	waittest.Receive(t, stream.closed, "the stream's Close")
	if _, err := conn.Write([]byte("x")); err == nil {
		t.Error("Write succeeded")
	}
}
