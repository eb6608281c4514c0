package api

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"silo/orchestrator"
)

// debugProtocol is the protocol that a request to debug a silo switches to. Both ends then
// send frames: one byte for the kind, four for the length of the content, the content.
const debugProtocol = "silo-debug"

// The kinds of frames.
const (
	frameInput    byte = 'i' // to the process
	frameInputEnd byte = 'e'
	frameSize     byte = 'r' // a ConsoleSize
	frameStarted  byte = 's' // from here on from the server
	frameOutput   byte = 'o'
	frameExit     byte = 'x' // a debugExit, the last frame
)

const (
	// maxFrame bounds the content of a frame, in bytes.
	maxFrame = 64 << 10
	// frameTimeout bounds the writing of a frame. A terminal that is stopped for longer
	// loses its session, so that it does not block its silo.
	frameTimeout = time.Minute
)

// debugBody requests a debug session.
type debugBody struct {
	Silo    string                    `json:"silo"`
	Argv    []string                  `json:"argv,omitempty"`
	Environ []string                  `json:"environ"`
	Console *orchestrator.ConsoleSize `json:"console,omitempty"`
	Stop    bool                      `json:"stop,omitempty"`
}

// debugExit is how a debug session ended.
type debugExit struct {
	Code  int    `json:"code"`
	Error string `json:"error,omitempty"` // why there was no process
}

// frames is one end of a connection.
type frames struct {
	reader *bufio.Reader
	conn   io.Writer
	mu     sync.Mutex   // held while a frame is written
	bound  func() error // sets the deadline of a write; may be nil
}

func (f *frames) read() (kind byte, content []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(f.reader, head[:]); err != nil {
		return 0, nil, err
	}
	size := binary.BigEndian.Uint32(head[1:])
	if size > maxFrame {
		return 0, nil, fmt.Errorf("a frame of %d bytes", size)
	}
	content = make([]byte, size)
	_, err = io.ReadFull(f.reader, content)
	return head[0], content, err
}

// write sends content in as many frames as it needs, at least one.
func (f *frames) write(kind byte, content []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for first := true; first || len(content) > 0; first = false {
		part := content[:min(len(content), maxFrame)]
		content = content[len(part):]
		frame := binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(part))) //nolint:gosec // G115: at most maxFrame
		if f.bound != nil {
			if err := f.bound(); err != nil {
				return err
			}
		}
		if _, err := f.conn.Write(append(frame, part...)); err != nil {
			return err
		}
	}
	return nil
}

func (f *frames) writeJSON(kind byte, value any) error {
	content, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return f.write(kind, content)
}

// debugOutput sends a process's output to the client, once that has switched protocols.
type debugOutput struct {
	ready  chan struct{} // closed once frames is set
	frames *frames       // nil if the client is gone
}

func (o *debugOutput) Write(block []byte) (int, error) {
	<-o.ready
	if o.frames == nil {
		return len(block), nil
	}
	return len(block), o.frames.write(frameOutput, block)
}

// debug runs a debug session for as long as the client is connected.
func (s *Server) debug(w http.ResponseWriter, r *http.Request) {
	var body debugBody
	if !s.readBody(w, r, &body) {
		return
	}
	output := &debugOutput{ready: make(chan struct{})}
	session, err := s.supervisor.Debug(body.Silo, orchestrator.DebugSpec{
		Argv: body.Argv, Environ: body.Environ, Console: body.Console, Output: output, Stop: body.Stop,
	})
	if err != nil {
		writeError(w, err)
		return
	}
	s.debugging.Add(1)
	defer s.debugging.Done()
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err == nil {
		defer func() { _ = conn.Close() }() // nothing follows
		err = switchProtocol(conn)
	}
	if err != nil {
		close(output.ready)
		session.Release()
		return
	}
	f := &frames{reader: buffered.Reader, conn: conn, bound: func() error { return conn.SetWriteDeadline(time.Now().Add(frameTimeout)) }}
	output.frames = f
	close(output.ready)
	go func() { // ends when the connection is closed
		passInput(f, session)
		session.Release()
	}()
	s.reportDebug(f, session)
}

// switchProtocol accepts the request for debugProtocol.
func switchProtocol(conn net.Conn) error {
	_, err := io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+debugProtocol+"\r\n\r\n")
	return errors.Join(err, conn.SetDeadline(time.Time{}))
}

// reportDebug reports the start and the end of a session's process.
func (s *Server) reportDebug(f *frames, session *orchestrator.DebugSession) {
	select {
	case <-session.Started():
		_ = f.write(frameStarted, nil) // passInput notices a client that is gone
	case <-session.Over():
	case <-s.supervisor.Ended():
	}
	exit, err := session.Exit()
	end := debugExit{Code: exit.Code}
	if err != nil {
		end.Error = err.Error()
	}
	s.supervisor.Sync() // the client may then ask for the state
	_ = f.writeJSON(frameExit, end)
}

// passInput passes the client's frames to the process until the client is gone.
func passInput(f *frames, session *orchestrator.DebugSession) {
	for {
		kind, content, err := f.read()
		if err != nil {
			return
		}
		input := session.Input()
		switch kind {
		case frameInput:
			_, _ = input.Write(content) // the process may have ended
		case frameInputEnd:
			input.End()
		case frameSize:
			var size orchestrator.ConsoleSize
			if json.Unmarshal(content, &size) == nil {
				_ = input.Resize(size) // as above
			}
		}
	}
}
