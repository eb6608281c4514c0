package devserver

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// whoami is this process.
func (s *server) whoami() self {
	me := self{
		Mode: s.who.mode, Name: s.who.name, PID: os.Getpid(), Port: s.bind.port, BackendPort: s.backend,
		Instance: s.who.instance, RunID: s.who.runID,
	}
	if s.who.isRegion() {
		me.Region = &s.who.region
	}
	return me
}

// echo answers with one line of JSON that tells the request, and then with its
// body while it still comes in.
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
	_ = answer.EnableFullDuplex() // HTTP/2 is so without it
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if _, err := w.Write(append(line, '\n')); err != nil {
		return
	}
	_, _ = io.Copy(flusher{w, answer}, r.Body) // an end before its time shows at the other side
}

// flusher sends each piece on its way at once.
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

// How many events a stream has, and how far they are apart.
const (
	events     = 10
	eventEvery = 100 * time.Millisecond
)

// stream sends server-sent events until all are sent or nobody listens.
func (s *server) stream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-cache")
	out := flusher{w, http.NewResponseController(w)}
	ticker := time.NewTicker(eventEvery)
	defer ticker.Stop()
	for n := 1; n <= events; n++ {
		if _, err := fmt.Fprintf(out, "id: %d\ndata: {\"n\":%d,\"silo\":%q}\n\n", n, n, s.who.name); err != nil {
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
