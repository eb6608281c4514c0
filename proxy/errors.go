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

// ErrorHeader marks a response that is not the silo's own. Its value is a Fault.
const ErrorHeader = "Silo-Error"

// Fault is the reason a silo did not answer.
type Fault string

// The faults and their HTTP statuses.
const (
	Starting  Fault = "starting"  // 503, Retry-After: 1
	Down      Fault = "down"      // 502: nothing listens
	Broken    Fault = "broken"    // 502: the silo closed the connection without an answer, or did not answer in HTTP
	Timeout   Fault = "timeout"   // 504: no connection or no header in time
	Slow      Fault = "slow"      // 408: the client did not send its request in time
	Malformed Fault = "malformed" // 400: the client's request body is not HTTP
	Isolated  Fault = "isolation" // 403: the caller is another region
	Denied    Fault = "denied"    // 403 or 401: the tunnel does not admit the client
)

var faultStatus = map[Fault]int{
	Starting:  http.StatusServiceUnavailable,
	Down:      http.StatusBadGateway,
	Broken:    http.StatusBadGateway,
	Timeout:   http.StatusGatewayTimeout,
	Slow:      http.StatusRequestTimeout,
	Malformed: http.StatusBadRequest,
	Denied:    http.StatusForbidden,
	Isolated:  http.StatusForbidden,
}

// FaultError is a Fault with its own message. A Gateway may return it, and a request's
// context may be cancelled with it (context.WithCancelCause). Other errors get the
// message of the Fault that FaultOf finds.
type FaultError struct {
	Fault  Fault
	Detail string // one line
	Hint   string // a suggested command, or ""
}

func (f *FaultError) Error() string { return f.Detail }

//go:embed error.html
var pageText string

var page = template.Must(template.New("error").Parse(pageText))

// errorPage is the content of an error page in any format. Like Sentry's API, it puts
// the error text in "detail".
type errorPage struct {
	Error  Fault  `json:"error"`
	Silo   string `json:"silo"`
	Detail string `json:"detail"`
	Step   string `json:"step,omitempty"`
	Hint   string `json:"hint,omitempty"`
}

// answerError answers r instead of the silo. It aborts the handler if the client has disconnected.
func (p *Proxy) answerError(w http.ResponseWriter, r *http.Request, err error) {
	if fault, ok := errors.AsType[*FaultError](context.Cause(r.Context())); ok {
		err = fault // the client is still waiting
	} else if r.Context().Err() != nil || errors.Is(err, errDisconnected) {
		panic(http.ErrAbortHandler) // the client has disconnected, or Serve ends
	}
	content := p.explain(err)
	if rec, ok := w.(*recorder); ok {
		rec.Fault = new(string(content.Error))
	}
	header := w.Header()
	header.Set(ErrorHeader, string(content.Error))
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Vary", "Accept")
	if content.Error == Starting {
		header.Set("Retry-After", "1")
	}
	if content.Error == Slow {
		header.Set("Connection", "close") // RFC 9110, section 15.5.9
	}
	format := negotiate(r.Header.Values("Accept"))
	header.Set("Content-Type", format)
	w.WriteHeader(p.status(content.Error))
	if r.Method != http.MethodHead {
		content.write(w, format)
	}
}

func (p *Proxy) status(fault Fault) int {
	if p.options.Gateway != nil {
		if status := p.options.Gateway.Statuses[fault]; status != 0 {
			return status
		}
	}
	return faultStatus[fault]
}

// explain returns the error page for a failed round trip.
func (p *Proxy) explain(err error) errorPage {
	content := errorPage{Silo: p.options.Silo}
	if fault, ok := errors.AsType[*FaultError](err); ok {
		content.Error, content.Detail, content.Hint = fault.Fault, fault.Detail, fault.Hint
		return content
	}
	if p.options.Starting != nil {
		if step, starting := p.options.Starting(); starting {
			content.Error, content.Step = Starting, step
			content.Detail = Starting.Message(content.Silo)
			return content
		}
	}
	content.Hint = "silo logs " + content.Silo
	content.Error = FaultOf(err)
	content.Detail = content.Error.Message(content.Silo)
	return content
}

// FaultOf classifies a round-trip error: Timeout, Down if no connection was made, or
// Broken.
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

// Message describes the fault in one line that names the silo.
func (f Fault) Message(silo string) string {
	switch f {
	case Starting:
		return fmt.Sprintf("silo %s is starting", silo)
	case Down:
		return fmt.Sprintf("silo %s is down", silo)
	case Timeout:
		return fmt.Sprintf("silo %s did not answer in time", silo)
	case Slow:
		return fmt.Sprintf("the request to silo %s did not arrive in time", silo)
	case Malformed:
		return fmt.Sprintf("the request to silo %s is malformed", silo)
	case Denied:
		return fmt.Sprintf("the tunnel of silo %s does not admit this client", silo)
	case Isolated:
		return fmt.Sprintf("silo %s is isolated from the region that called it", silo)
	case Broken:
		return fmt.Sprintf("silo %s closed the connection without an answer", silo)
	}
	return fmt.Sprintf("silo %s did not answer: %s", silo, string(f))
}

func (c errorPage) write(w http.ResponseWriter, format string) {
	// A write fails only if the client has disconnected.
	switch format {
	case formatHTML:
		_ = page.Execute(w, c)
	case formatJSON:
		_ = json.NewEncoder(w).Encode(c)
	default:
		fmt.Fprintln(w, c.Detail)
		if c.Step != "" {
			fmt.Fprintln(w, c.Step)
		}
		if c.Hint != "" {
			fmt.Fprintln(w, "hint: "+c.Hint)
		}
	}
}

const (
	formatHTML = "text/html; charset=utf-8"
	formatJSON = "application/json"
	formatText = "text/plain; charset=utf-8"
)

// negotiate returns the format that an Accept header ranks highest (RFC 9110, section
// 12.5.1): the first among equals, or plain text by default.
func negotiate(accept []string) string {
	best, format := 0.0, formatText
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
			best, format = quality, formatHTML
		case kind == "application/json", strings.HasSuffix(kind, "+json"):
			best, format = quality, formatJSON
		case kind == "text/plain", kind == "*/*", kind == "text/*":
			best, format = quality, formatText
		}
	}
	return format
}
