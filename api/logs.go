package api

import (
	"context"
	"net/http"
	"regexp"

	"silo/logs"
)

// logs streams lines of silos' output to their end or, if they are followed, until the client
// disconnects or the instance ends.
func (s *Server) logs(w http.ResponseWriter, r *http.Request) {
	query, ok := s.logQuery(w, r)
	if !ok {
		return
	}
	s.stream(w, r, true, func(ctx context.Context, out *stream) error {
		if query.Follow {
			if err := out.write(); err != nil { // sends the header now: the first line may come much later
				return err
			}
		}
		return logs.Read(ctx, s.logDir, query, func(l logs.Line) error {
			return out.write(NewLogLine(l, s.options.StripEscapes))
		})
	})
}

// logQuery parses the parameters. If they are invalid, it responds and ok is false.
func (s *Server) logQuery(w http.ResponseWriter, r *http.Request) (q logs.Query, ok bool) {
	q = logs.Query{Silos: r.URL.Query()["silo"], Follow: r.URL.Query().Get("follow") == "1", Plain: s.options.StripEscapes}
	if q.N, ok = number(w, r, "n", -1); !ok {
		return q, false
	}
	if expression := r.URL.Query().Get("grep"); expression != "" {
		var err error
		if q.Grep, err = regexp.Compile(expression); err != nil {
			badRequest(w, "grep: "+err.Error())
			return q, false
		}
	}
	return q, checkNames(w, q.Silos, logs.Known(s.logDir, s.siloNames()))
}
