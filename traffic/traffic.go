// Package traffic keeps the latest requests that passed through an instance's tunnels,
// with their responses, up to a memory limit, and counts the calls between silos.
//
// It must not know how a request is forwarded or displayed, or what a tunnel is.
package traffic

import (
	"cmp"
	"net/http"
	"strings"
	"time"
)

// BodyLimit is how much of a body is kept, in bytes.
const BodyLimit = 64 << 10

// State is the state of an exchange.
type State string

// The states of an exchange.
const (
	Open   State = "open"   // the response has not ended: a stream, a WebSocket, a debugger
	Done   State = "done"   // the response was forwarded completely
	Broken State = "broken" // the response was not forwarded completely: see Error
)

// Exchange is one request and its response. Exchanges that a Log returns must not be
// changed, including headers and bodies.
type Exchange struct {
	ID       uint64    `json:"id"`
	State    State     `json:"state"`
	Silo     string    `json:"silo"` // the request's destination
	Caller   Caller    `json:"caller"`
	Crossing bool      `json:"crossing"`  // from one region to another
	Blocked  bool      `json:"blocked"`   // answered with 403 because of Crossing, and not forwarded
	ReplayOf *uint64   `json:"replay_of"` // the exchange that this one repeats
	Started  time.Time `json:"started_at"`
	Method   string    `json:"method"`
	Host     string    `json:"host"`
	Path     string    `json:"path"` // with the query, as sent by the client
	Proto    string    `json:"proto"`
	Status   int       `json:"status"` // 0: no response, or none yet
	Request  Message   `json:"request"`
	Response Message   `json:"response"`

	FirstByte *float64 `json:"first_byte_seconds"` // from the request's arrival to the response's header
	Total     *float64 `json:"seconds"`            // to the end of both
	Error     *string  `json:"error"`              // why an exchange is broken, one line

	// Fault is the proxy.Fault of an error page, or nil.
	Fault *string `json:"fault"`
}

// Caller describes the client that made a request, as far as it is known.
type Caller struct {
	Silo    *string `json:"silo"`    // its process belongs to this silo
	PID     *int    `json:"pid"`     // on this machine
	Program *string `json:"program"` // its name
	Address string  `json:"address"` // host:port of the connection, or from a trusted tunnel service

	Gone bool `json:"-"` // its connection was closed before the lookup
}

// Name describes the caller in one word: a silo, a program, or "outside".
func (c Caller) Name() string {
	switch {
	case c.Silo != nil:
		return *c.Silo
	case c.Program != nil:
		return *c.Program
	}
	return "outside"
}

// Message is the request or the response of an exchange.
type Message struct {
	Header    http.Header `json:"headers"`
	Trailer   http.Header `json:"trailers,omitempty"`
	Bytes     int64       `json:"bytes"` // size of the whole body
	Body      []byte      `json:"body"`  // its first BodyLimit bytes; base64 in JSON
	Truncated bool        `json:"truncated"`
}

// Call counts the requests of one caller to one silo since the Log was created,
// including exchanges that are no longer kept.
type Call struct {
	From     string  `json:"from"` // Caller.Name
	To       string  `json:"to"`
	Crossing bool    `json:"crossing"`
	Requests int64   `json:"requests"`
	Errors   int64   `json:"errors"` // broken, or answered with 500 or above
	Blocked  int64   `json:"blocked"`
	Seconds  float64 `json:"seconds"` // of all ended exchanges
}

// URL returns the full URL of the request. The scheme is http unless X-Forwarded-Proto
// is https.
func (e Exchange) URL() string {
	if strings.Contains(e.Path, "://") && !strings.HasPrefix(e.Path, "/") { // the absolute form (RFC 9112, section 3.2.2)
		return e.Path
	}
	scheme, path := "http", e.Path
	if e.Request.Header.Get("X-Forwarded-Proto") == "https" {
		scheme = "https"
	}
	if !strings.HasPrefix(path, "/") { // OPTIONS *
		path = "/"
	}
	return scheme + "://" + cmp.Or(e.Host, e.Silo) + path
}
