package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"silo/orchestrator"
)

// DebugRequest describes a debug session; see orchestrator.DebugSpec.
type DebugRequest struct {
	Silo    string
	Argv    []string // empty: the silo's own command
	Environ []string
	Console *orchestrator.ConsoleSize
	Stop    bool
}

// Debugger is a client's end of a debug session. Next is called by one goroutine; the
// others may be called by any.
type Debugger struct {
	frames *frames
	body   io.Closer
}

// Debug starts a debug session. It returns once the supervised process is being stopped.
// The session lasts until its process ends or Close is called.
func (c *Client) Debug(ctx context.Context, r DebugRequest) (*Debugger, error) {
	data, err := json.Marshal(debugBody(r))
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://silo/v1/debug", bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Connection", "Upgrade")
	request.Header.Set("Upgrade", debugProtocol)
	response, err := c.http.Do(request)
	if err != nil {
		return nil, c.requestError(ctx, ErrUnresponsive)
	}
	conn, ok := response.Body.(io.ReadWriteCloser)
	if response.StatusCode == http.StatusSwitchingProtocols && ok {
		return &Debugger{frames: &frames{reader: bufio.NewReader(conn), conn: conn}, body: conn}, nil
	}
	defer func() { _ = response.Body.Close() }() // read below
	if response.StatusCode < http.StatusBadRequest {
		return nil, errOtherVersion
	}
	return nil, decodeError(response)
}

// DebugEvent is one of: the process was started, it wrote, it has ended.
type DebugEvent struct {
	Started bool
	Output  []byte
	Ended   bool
	Code    int   // the exit status, or 128 plus the number of the signal
	Err     error // why there was no process, if it has ended
}

// Next blocks until the next event. It fails with ErrNotRunning if the supervisor has ended.
func (d *Debugger) Next() (DebugEvent, error) {
	kind, content, err := d.frames.read()
	if err != nil {
		return DebugEvent{}, ErrNotRunning
	}
	switch kind {
	case frameStarted:
		return DebugEvent{Started: true}, nil
	case frameOutput:
		return DebugEvent{Output: content}, nil
	}
	var exit debugExit
	if err := json.Unmarshal(content, &exit); err != nil {
		return DebugEvent{}, errOtherVersion
	}
	event := DebugEvent{Ended: true, Code: exit.Code}
	if exit.Error != "" {
		event.Err = errors.New(exit.Error)
	}
	return event, nil
}

// Write sends input to the process.
func (d *Debugger) Write(input []byte) (int, error) {
	if err := d.frames.write(frameInput, input); err != nil {
		return 0, err
	}
	return len(input), nil
}

// EndInput ends the input of a process without a console.
func (d *Debugger) EndInput() error { return d.frames.write(frameInputEnd, nil) }

// Resize changes the size of the process's console.
func (d *Debugger) Resize(size orchestrator.ConsoleSize) error {
	return d.frames.writeJSON(frameSize, size)
}

// Close ends the session.
func (d *Debugger) Close() error { return d.body.Close() }
