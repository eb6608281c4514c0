package tunnels

import (
	"bufio"
	"net"
	"sync"
)

const streamBuffer = 32 << 10

// stream is a connection of the SDK that can be used like any other.
//
// When a session dies, a Write on one of its streams returns while the session
// may still be reading the bytes and the frame header that belong to that stream
// (golang.ngrok.com/muxado v2.0.2, session.writeFrame). So the caller's bytes,
// which it will use again, are copied, and after a failed Write the stream is
// not touched any more; a dead session frees its streams itself.
//
// Each Read on a stream of the SDK is answered with a frame of its own, which
// gives the service as much room again. net/http reads 4 KiB at a time between
// the chunks of a body, so reads are buffered.
type stream struct {
	net.Conn
	in *bufio.Reader

	mu     sync.Mutex // guards all below, and that nothing is written after Close
	buffer []byte
	done   bool
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
	if s.buffer == nil {
		s.buffer = make([]byte, streamBuffer)
	}
	for written < len(p) {
		n, err := s.Conn.Write(s.buffer[:copy(s.buffer, p[written:])])
		written += n
		if err != nil {
			s.done = true
			return written, err
		}
	}
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
