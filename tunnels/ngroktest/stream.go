package ngroktest

import (
	"net"
	"slices"
	"sync"
)

// stream is a muxado stream whose caller may reuse its bytes after a failed Write.
//
// When a session dies, a Write on one of its streams returns while the session may
// still be reading the bytes and the stream's frame header (muxado v2.0.2,
// session.writeFrame). So the bytes are copied, and the stream is not used after a
// failed Write. A dead session frees its streams itself.
type stream struct {
	net.Conn

	mu   sync.Mutex // held by Write; guards done
	done bool
}

func (s *stream) Write(p []byte) (written int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done {
		return 0, net.ErrClosed
	}
	written, err = s.Conn.Write(slices.Clone(p))
	s.done = err != nil
	return written, err
}

// Close waits for a Write in progress, as muxado's Close does.
func (s *stream) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done {
		return nil
	}
	s.done = true
	return s.Conn.Close()
}
