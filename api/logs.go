package api

import (
	"context"
	"net/http"
	"regexp"
	"time"

	"silo/logs"
)

// LogLine is a line of a silo's output, or a piece of one that is very long, for
// programs.
type LogLine struct {
	Silo string    `json:"silo"`
	At   time.Time `json:"at"`
	Text string    `json:"text"` // without escape sequences
}

// NewLogLine makes a line one for programs; plain takes escape sequences out.
func NewLogLine(l logs.Line, plain func([]byte) []byte) LogLine {
	return LogLine{l.Silo, l.At, string(plain(l.Text))}
}

// logAhead is how many lines are read before they are written.
const logAhead = 64

// logs streams lines of silos' output, one a line, until there are no more or,
// where they are followed, as watch.
func (s *Server) logs(w http.ResponseWriter, r *http.Request) {
	query, ok := s.logQuery(w, r)
	if !ok {
		return
	}
	w.Header().Set("Content-Type", jsonLines)
	if query.Follow && s.pulse(w) != nil { // that it is heard, though nothing may be written for long
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	lines := make(chan LogLine, logAhead)
	var failed error // of reading, once lines is closed
	go func() {
		defer close(lines)
		failed = logs.Read(ctx, s.logDir, query, func(l logs.Line) error {
			select {
			case lines <- NewLogLine(l, s.options.StripEscapes):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	defer func() {
		cancel()
		for range lines { // until the reader has ended
			continue
		}
	}()
	if told := s.tellLines(w, r, lines); !told && !query.Follow && ctx.Err() == nil && failed != nil {
		refuse(w, failed)
	}
}

// tellLines writes lines as they come until there are no more, the reader leaves
// or the instance ends. It tells whether it has written any.
func (s *Server) tellLines(w http.ResponseWriter, r *http.Request, lines <-chan LogLine) (told bool) {
	pulse := time.NewTicker(s.patience.pulse)
	defer pulse.Stop()
	for {
		var err error
		select {
		case line, more := <-lines:
			if !more {
				return told
			}
			told = true
			if err = s.line(w, line); err == nil && len(lines) == 0 {
				err = s.flush(w)
			}
		case <-pulse.C:
			err = s.pulse(w)
		case <-s.supervisor.Ended():
			return told
		case <-r.Context().Done():
			return told
		}
		if err != nil {
			return true
		}
	}
}

// logQuery reads what lines are wanted. What is not understood is answered, and
// not ok.
func (s *Server) logQuery(w http.ResponseWriter, r *http.Request) (logs.Query, bool) {
	q := logs.Query{Silos: r.URL.Query()["silo"], Follow: r.URL.Query().Get("follow") == "1", Plain: s.options.StripEscapes}
	var ok bool
	if q.N, ok = number(w, r, "n", -1); !ok {
		return q, false
	}
	if expression := r.URL.Query().Get("grep"); expression != "" {
		re, err := regexp.Compile(expression)
		if err != nil {
			answer(w, http.StatusBadRequest, refusal{Error: "grep: " + err.Error()})
			return q, false
		}
		q.Grep = re
	}
	return q, known(w, q.Silos, logs.Known(s.logDir, s.names()))
}
