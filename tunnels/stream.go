package tunnels

import (
	"bufio"
	"net"
	"sync"
	"time"
)

const (
	streamBuffer = 32 << 10

	// frameSize is the most that is written at once. The SDK sends a frame's header in
	// a record of its own, and hands each frame from one goroutine to another.
	frameSize = 64 << 10
)

// frames are what is written from, *[frameSize]byte.
var frames = sync.Pool{New: func() any { return new([frameSize]byte) }}

// sureWindow is how many bytes a stream takes before its far end has read any
// (golang.ngrok.com/muxado v2.0.2, config.go; the SDK leaves it as it is).
const sureWindow = 256 << 10

// stream is a connection of the SDK that can be used like any other.
//
// When a session dies, a Write on one of its streams returns while the session
// may still be reading the bytes and the frame header that belong to that stream
// (golang.ngrok.com/muxado v2.0.2, session.writeFrame). So the caller's bytes,
// which it will use again, are copied, and after a failed Write neither the copy
// nor the stream is written from or to any more; a dead session frees its streams
// itself.
//
// The SDK's Write waits for a far end that reads nothing, and its Close and write
// deadline wait for that Write: only the far end or the session can end it. So what
// may have to wait is written in a goroutine of the stream's own, which Close leaves
// behind, and which then closes the SDK's stream. What the window is sure to hold is
// written at once.
//
// Each Read on a stream of the SDK is answered with a frame of its own, which
// gives the service as much room again. net/http reads 4 KiB at a time between
// the chunks of a body, so reads are buffered.
type stream struct {
	net.Conn
	in     *bufio.Reader
	closed chan struct{} // closed by Close

	writing sync.Mutex // one Write at a time; guards what is down to mu
	sent    int        // while there is no pump
	spawn   func(pump func()) bool
	jobs    chan []byte // to the pump; nil: there is none yet
	results chan result // from it

	mu   sync.Mutex // guards all below, and deadlines for reads
	done bool       // closed, or a Write has failed
	busy bool       // the SDK has a Write, whose end sees to a Close
}

// result is what the SDK's Write has returned.
type result struct {
	n   int
	err error
}

// newStream makes a stream of a connection of the SDK. spawn runs a goroutine that
// ends with the stream or, at the latest, with its session; false: it does not.
func newStream(conn net.Conn, spawn func(pump func()) bool) *stream {
	return &stream{Conn: conn, in: bufio.NewReaderSize(conn, streamBuffer), closed: make(chan struct{}), spawn: spawn}
}

func (s *stream) Read(p []byte) (int, error) { return s.in.Read(p) }

func (s *stream) Write(p []byte) (written int, err error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	frame := frames.Get().(*[frameSize]byte) //nolint:errcheck,forcetypeassert // there are no others
	for written < len(p) {
		if !s.begin() {
			return written, net.ErrClosed
		}
		n, err := s.put(frame[:copy(frame[:], p[written:])])
		written += n
		if err != nil {
			return written, err // and the SDK may still have the frame
		}
	}
	frames.Put(frame)
	return written, nil
}

// put writes one frame, after begin.
func (s *stream) put(frame []byte) (int, error) {
	if s.jobs == nil && s.sent+len(frame) <= sureWindow {
		s.sent += len(frame)
		return s.write(frame)
	}
	if s.jobs == nil {
		s.jobs, s.results = make(chan []byte), make(chan result, 1)
		if !s.spawn(s.pump) {
			s.end(net.ErrClosed) // the session is at its end
			return 0, net.ErrClosed
		}
	}
	select {
	case s.jobs <- frame:
	case <-s.closed:
		s.end(nil)
		return 0, net.ErrClosed
	}
	select {
	case r := <-s.results:
		return r.n, r.err
	case <-s.closed:
		return 0, net.ErrClosed
	}
}

// pump writes frames until the stream is closed or a Write fails.
func (s *stream) pump() {
	for {
		select {
		case frame := <-s.jobs:
			n, err := s.write(frame)
			s.results <- result{n, err} // there is room
			if err != nil {
				return
			}
		case <-s.closed:
			return
		}
	}
}

func (s *stream) write(frame []byte) (int, error) {
	n, err := s.Conn.Write(frame)
	s.end(err)
	return n, err
}

// begin lets the SDK have a Write, unless there is to be none any more.
func (s *stream) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done {
		return false
	}
	s.busy = true
	return true
}

// end ends what begin has begun, and makes up for a Close that has come meanwhile.
func (s *stream) end(err error) {
	s.mu.Lock()
	late := s.done && err == nil
	s.busy, s.done = false, s.done || err != nil
	s.mu.Unlock()
	if late {
		_ = s.Conn.Close() // who has called Close has gone on
	}
}

// past is a deadline that has gone by.
var past = time.Unix(1, 0)

// Close ends a Write and a Read that are under way, and waits for neither.
func (s *stream) Close() error {
	s.mu.Lock()
	if s.done {
		s.mu.Unlock()
		return nil
	}
	s.done = true
	close(s.closed)
	busy := s.busy
	if busy {
		_ = s.Conn.SetReadDeadline(past) // what a Close of the SDK's would do for who reads
	}
	s.mu.Unlock()
	if busy {
		return nil
	}
	return s.Conn.Close()
}

// SetReadDeadline must not wake who reads from its end.
func (s *stream) SetReadDeadline(at time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.closed:
		return net.ErrClosed
	default:
		return s.Conn.SetReadDeadline(at)
	}
}

// SetDeadline waits for a Write that is under way, as the SDK's own does.
func (s *stream) SetDeadline(at time.Time) error {
	if err := s.SetReadDeadline(at); err != nil {
		return err
	}
	return s.SetWriteDeadline(at)
}
