package proxy

import (
	"io"
	"net"
	"os"
	"syscall"
)

// socket reads and writes a TCP connection in the way of readNow and writeNow. One
// goroutine reads at a time, and one writes; closing and deadlines are the
// connection's.
type socket struct {
	*net.TCPConn

	raw     syscall.RawConn
	in, out transfer
	one     [1]byte // for who only listens

	reading, listening, writing func(fd uintptr) (done bool) // what raw calls, made once
}

// transfer is a Read or Write that is under way.
type transfer struct {
	p   []byte
	n   int           // bytes of p that have passed
	err syscall.Errno // of the latest call
}

func newSocket(conn *net.TCPConn) *socket {
	raw, _ := conn.SyscallConn() // fails where conn is nil, and for nothing else
	s := &socket{TCPConn: conn, raw: raw}
	s.reading, s.writing = s.in.read, s.out.write
	s.listening = func(fd uintptr) bool { _ = s.in.read(fd); return true }
	return s
}

func (s *socket) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	s.in = transfer{p: p}
	n, err := s.passed(&s.in, "read", s.raw.Read(s.reading))
	if n == 0 && err == nil {
		err = io.EOF
	}
	return n, err
}

func (s *socket) Write(p []byte) (int, error) {
	s.out = transfer{p: p}
	return s.passed(&s.out, "write", s.raw.Write(s.writing))
}

// passed ends a transfer. err is why it was not let come to its own end.
func (s *socket) passed(t *transfer, op string, err error) (int, error) {
	n, own := t.n, t.err
	*t = transfer{} // p is its owner's again
	if err == nil && own != 0 {
		err = &net.OpError{Op: op, Net: "tcp", Source: s.LocalAddr(), Addr: s.RemoteAddr(), Err: os.NewSyscallError(op, own)}
	}
	return n, err
}

// read is done with the first bytes, at the end, or with an error. It is to be called
// again when there is something to read.
func (t *transfer) read(fd uintptr) (done bool) {
	for {
		n, err := readNow(fd, t.p)
		t.n, t.err = max(n, 0), err
		switch err {
		case syscall.EAGAIN:
			return false
		case syscall.EINTR:
		default:
			return true
		}
	}
}

// write is done with all bytes, or with an error. It is to be called again when there
// is room.
func (t *transfer) write(fd uintptr) (done bool) {
	for t.n < len(t.p) {
		var n int
		switch n, t.err = writeNow(fd, t.p[t.n:]); t.err {
		case 0:
			t.n += n
		case syscall.EAGAIN:
			return false
		case syscall.EINTR:
		default:
			return true
		}
	}
	return true
}

// quiet tells whether an idle connection has neither been closed by the far end nor
// said anything that nobody asked for (a 408 before the close, RFC 9110, section
// 15.5.9). It asks the kernel and does not wait.
func (s *socket) quiet() bool {
	s.in = transfer{p: s.one[:]}
	return s.raw.Read(s.listening) == nil && s.in.err == syscall.EAGAIN
}
