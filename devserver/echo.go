package devserver

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// whoami describes this process.
func (s *server) whoami() self {
	me := self{
		Mode: s.id.mode, Name: s.id.name, PID: os.Getpid(), Port: s.bind.port, BackendPort: s.backend,
		Instance: s.id.instance, RunID: s.id.runID,
	}
	if s.id.isRegion() {
		me.Region = &s.id.region
	}
	return me
}

// echo responds with one line of JSON that describes the request, then with the request's
// body while it is still arriving.
func echo(w http.ResponseWriter, r *http.Request) {
	line, err := json.Marshal(struct {
		Method string      `json:"method"`
		URI    string      `json:"uri"`
		Host   string      `json:"host"`
		Header http.Header `json:"headers"`
	}{r.Method, r.RequestURI, r.Host, r.Header})
	if err != nil {
		http.Error(w, "encode request: "+err.Error(), http.StatusInternalServerError)
		return
	}
	answer := http.NewResponseController(w)
	_ = answer.EnableFullDuplex() // fails only for HTTP/2, which is always full duplex
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if _, err := w.Write(append(line, '\n')); err != nil {
		return
	}
	_, _ = io.Copy(flusher{w, answer}, r.Body) // the client notices a truncated body
}

// flusher flushes after each write.
type flusher struct {
	io.Writer

	answer *http.ResponseController
}

func (f flusher) Write(p []byte) (int, error) {
	n, err := f.Writer.Write(p)
	if err == nil {
		err = f.answer.Flush()
	}
	return n, err
}

// The number of events in a stream, and their interval.
const (
	events     = 10
	eventEvery = 100 * time.Millisecond
)

// stream sends server-sent events until all are sent or the client disconnects.
func (s *server) stream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-cache")
	out := flusher{w, http.NewResponseController(w)}
	ticker := time.NewTicker(eventEvery)
	defer ticker.Stop()
	for n := 1; n <= events; n++ {
		if _, err := fmt.Fprintf(out, "id: %d\ndata: {\"n\":%d,\"silo\":%q}\n\n", n, n, s.id.name); err != nil {
			return
		}
		if n == events {
			return
		}
		select {
		case <-ticker.C:
		case <-r.Context().Done():
			return
		}
	}
}
