package tunnels

import (
	"bufio"
	"net"
	"sync"
)

const (
	streamBuffer = 32 << 10

	// frameSize is the most that is written at once. The SDK sends a frame's header in
	// a record of its own, and hands each frame from one goroutine to another.
	frameSize = 64 << 10
)

// frames are what is written from, *[frameSize]byte.
var frames = sync.Pool{New: func() any { return new([frameSize]byte) }}

// stream is a connection of the SDK that can be used like any other.
//
// When a session dies, a Write on one of its streams returns while the session
// may still be reading the bytes and the frame header that belong to that stream
// (golang.ngrok.com/muxado v2.0.2, session.writeFrame). So the caller's bytes,
// which it will use again, are copied, and after a failed Write neither the copy
// nor the stream is touched any more; a dead session frees its streams itself.
//
// Each Read on a stream of the SDK is answered with a frame of its own, which
// gives the service as much room again. net/http reads 4 KiB at a time between
// the chunks of a body, so reads are buffered.
type stream struct {
	net.Conn
	in *bufio.Reader

	mu   sync.Mutex // guards done, and that nothing is written after Close
	done bool
}

func newStream(conn net.Conn) *stream {
	return &stream{Conn: conn, in: bufio.NewReaderSize(conn, streamBuffer)}
}

func (s *stream) Read(p []byte) (int, error) { return s.in.Read(p) }

func (s *stream) Write(p []byte) (written int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done {
		return 0, net.ErrClosed
	}
	frame := frames.Get().(*[frameSize]byte) //nolint:errcheck,forcetypeassert // there are no others
	for written < len(p) {
		n, err := s.Conn.Write(frame[:copy(frame[:], p[written:])])
		written += n
		if err != nil {
			s.done = true
			return written, err
		}
	}
	frames.Put(frame)
	return written, nil
}

// Close waits for a Write that is under way, as the SDK's own does.
func (s *stream) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done {
		return nil
	}
	s.done = true
	return s.Conn.Close()
}
