package proxy

import (
	"context"
	_ "embed" // the page
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"mime"
	"net"
	"net/http"
	"strconv"
	"strings"
)

// ErrorHeader marks an answer that is not the silo's own. Its values are the
// Fault words.
const ErrorHeader = "Silo-Error"

// Fault is why a silo gave no answer.
type Fault string

// The faults, each with the status that it is answered with.
const (
	Starting Fault = "starting"  // 503, Retry-After: 1
	Down     Fault = "down"      // 502: nothing listens
	Broken   Fault = "broken"    // 502: it took the request and hung up, or answered nonsense
	Timeout  Fault = "timeout"   // 504: no connection, or no header, in time
	Slow     Fault = "slow"      // 408: the client's own request did not come in time
	Isolated Fault = "isolation" // 403: the caller is another region
	Denied   Fault = "denied"    // 403, or 401: a tunnel does not let the client in
)

var faultStatus = map[Fault]int{
	Starting: http.StatusServiceUnavailable,
	Down:     http.StatusBadGateway,
	Broken:   http.StatusBadGateway,
	Timeout:  http.StatusGatewayTimeout,
	Slow:     http.StatusRequestTimeout,
	Denied:   http.StatusForbidden,
	Isolated: http.StatusForbidden,
}

//go:embed answer.html
var pageText string

var page = template.Must(template.New("answer").Parse(pageText))

// answered is what every form of an answer is made of. Its JSON carries
// "detail", where Sentry's API puts an error's text.
type answered struct {
	Error  Fault  `json:"error"`
	Silo   string `json:"silo"`
	Detail string `json:"detail"`
	Step   string `json:"step,omitempty"`
	Hint   string `json:"hint,omitempty"`
}

// answer stands in for a silo that gave none.
func (p *Proxy) answer(w http.ResponseWriter, r *http.Request, err error) {
	if failure, ok := errors.AsType[*FaultError](context.Cause(r.Context())); ok {
		err = failure // whoever ended it waits for an answer
	} else if r.Context().Err() != nil {
		// The client is gone, or this server closes: nobody reads an answer.
		panic(http.ErrAbortHandler)
	}
	a := p.explain(err)
	if seen, recorded := w.(*witness); recorded {
		seen.instead(a.Error)
	}
	header := w.Header()
	header.Set(ErrorHeader, string(a.Error))
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Vary", "Accept")
	if a.Error == Starting {
		header.Set("Retry-After", "1")
	}
	if a.Error == Slow {
		header.Set("Connection", "close") // RFC 9110, section 15.5.9
	}
	form := preferred(r.Header.Values("Accept"))
	header.Set("Content-Type", form)
	w.WriteHeader(p.status(a.Error))
	if r.Method != http.MethodHead {
		a.write(w, form)
	}
}

func (p *Proxy) status(fault Fault) int {
	if p.options.Rules != nil {
		if status := p.options.Rules.Statuses[fault]; status != 0 {
			return status
		}
	}
	return faultStatus[fault]
}

// explain finds the fault behind an error of the round trip, and words for it.
func (p *Proxy) explain(err error) answered {
	a := answered{Silo: p.options.Silo}
	if known, ok := errors.AsType[*FaultError](err); ok {
		a.Error, a.Detail, a.Hint = known.Fault, known.Detail, known.Hint
		return a
	}
	if p.options.Starting != nil {
		if step, starting := p.options.Starting(); starting {
			a.Error, a.Step = Starting, step
			a.Detail = Starting.Message(a.Silo)
			return a
		}
	}
	a.Hint = "silo logs " + a.Silo
	a.Error = FaultOf(err)
	a.Detail = a.Error.Message(a.Silo)
	return a
}

// FaultOf finds the fault behind an error of a round trip: Timeout, Down where no
// connection was made, or Broken.
func FaultOf(err error) Fault {
	var timeout net.Error
	var dial *net.OpError
	switch {
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return Timeout
	case errors.Is(err, errNoTarget), errors.As(err, &dial) && dial.Op == "dial":
		return Down
	}
	return Broken
}

// Message are the fault as a line that speaks of a silo.
func (f Fault) Message(silo string) string {
	switch f {
	case Starting:
		return fmt.Sprintf("silo %s is starting", silo)
	case Down:
		return fmt.Sprintf("silo %s is down", silo)
	case Timeout:
		return fmt.Sprintf("silo %s did not answer in time", silo)
	case Slow:
		return fmt.Sprintf("the request to silo %s did not come in time", silo)
	case Denied:
		return fmt.Sprintf("the tunnel of silo %s does not let this client in", silo)
	case Isolated:
		return fmt.Sprintf("silo %s is kept apart from the region that called it", silo)
	case Broken:
		return fmt.Sprintf("silo %s broke off without an answer", silo)
	}
	return fmt.Sprintf("silo %s gave no answer: %s", silo, string(f))
}

func (a answered) write(w http.ResponseWriter, form string) {
	// A failed write means that the client has gone.
	switch form {
	case formHTML:
		_ = page.Execute(w, a)
	case formJSON:
		_ = json.NewEncoder(w).Encode(a)
	default:
		fmt.Fprintln(w, a.Detail)
		if a.Step != "" {
			fmt.Fprintln(w, a.Step)
		}
		if a.Hint != "" {
			fmt.Fprintln(w, "hint: "+a.Hint)
		}
	}
}

const (
	formHTML = "text/html; charset=utf-8"
	formJSON = "application/json"
	formText = "text/plain; charset=utf-8"
)

// preferred picks the form that an Accept header ranks highest (RFC 9110,
// section 12.5.1), the first one among equals, and plain text by default.
func preferred(accept []string) string {
	best, form := 0.0, formText
	for item := range strings.SplitSeq(strings.Join(accept, ","), ",") {
		kind, params, err := mime.ParseMediaType(item)
		if err != nil {
			continue
		}
		quality := 1.0
		if q, err := strconv.ParseFloat(params["q"], 64); err == nil {
			quality = q
		}
		if quality <= best {
			continue
		}
		switch {
		case kind == "text/html", kind == "application/xhtml+xml":
			best, form = quality, formHTML
		case kind == "application/json", strings.HasSuffix(kind, "+json"):
			best, form = quality, formJSON
		case kind == "text/plain", kind == "*/*", kind == "text/*":
			best, form = quality, formText
		}
	}
	return form
}
