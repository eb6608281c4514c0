package tunnels

import (
	"io"
	"net"
)

// pipeBuffer is the maximum size of one read or write. For each Read on an SDK stream,
// the SDK sends a frame that extends the service's window.
const pipeBuffer = 32 << 10

// pipedConn is the near end of a pipe to an SDK stream.
type pipedConn struct {
	net.Conn
	remote net.Addr
}

func (c pipedConn) RemoteAddr() net.Addr { return c.remote }

// pipeStream returns a connection that can be closed at any time, which an SDK stream
// cannot: its Close and its write deadline wait for a Write in progress, and that Write
// waits until the far end reads (muxado v2.0.2, stream.go). Two goroutines copy between
// the two until the stream or its session ends. run starts a goroutine, or returns
// false.
func pipeStream(stream net.Conn, run func(func()) bool) net.Conn {
	near, far := net.Pipe()
	if !run(func() { writeStream(stream, far) }) {
		_, _ = far.Close(), stream.Close()
	} else if !run(func() {
		_, _ = io.CopyBuffer(far, struct{ io.Reader }{stream}, make([]byte, pipeBuffer))
		_ = far.Close()
	}) {
		_ = far.Close() // ends the writer, and thereby the stream
	}
	return pipedConn{near, stream.RemoteAddr()}
}

// writeStream copies from far to the stream, and then closes the stream.
//
// After a failed Write it touches neither the stream nor the buffer: a dead session may
// still be reading the buffer and the stream's frame header (muxado v2.0.2,
// session.writeFrame), and frees its streams itself.
func writeStream(stream, far net.Conn) {
	defer func() { _ = far.Close() }()
	buffer := make([]byte, pipeBuffer)
	for {
		n, err := far.Read(buffer)
		if n > 0 {
			if _, err := stream.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			_ = stream.Close()
			return
		}
	}
}
