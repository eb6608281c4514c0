// Package traffic holds what passes the tunnels of an instance: each request with
// its answer, as far as a bound of memory allows, and a count of who called whom.
//
// It must not know how a request is forwarded, by whom it is shown, or what a
// tunnel is.
package traffic

import (
	"cmp"
	"net/http"
	"strings"
	"time"
)

// BodyLimit is how much of a body is kept, in bytes.
const BodyLimit = 64 << 10

// State is where an exchange stands.
type State string

// The states of an exchange.
const (
	Open   State = "open"   // no end of the answer yet: a stream, a WebSocket, a debugger
	Done   State = "done"   // the answer went through to its end
	Broken State = "broken" // it did not: Error says why
)

// Exchange is one request and its answer. One that Log gives out is immutable, its
// headers and bodies included.
type Exchange struct {
	ID       uint64    `json:"id"`
	State    State     `json:"state"`
	Silo     string    `json:"silo"` // whom the request was for
	Caller   Caller    `json:"caller"`
	Crossing bool      `json:"crossing"`  // from one region to another
	Blocked  bool      `json:"blocked"`   // answered with 403 for that, and never forwarded
	ReplayOf *uint64   `json:"replay_of"` // the exchange whose request was sent again
	Started  time.Time `json:"started_at"`
	Method   string    `json:"method"`
	Host     string    `json:"host"`
	Path     string    `json:"path"` // with the query, as sent
	Proto    string    `json:"proto"`
	Status   int       `json:"status"` // 0: there is no answer, or none yet
	Request  Message   `json:"request"`
	Response Message   `json:"response"`

	FirstByte *float64 `json:"first_byte_seconds"` // from the request's arrival to the answer's header
	Total     *float64 `json:"seconds"`            // to the end of both
	Error     *string  `json:"error"`              // why an exchange is broken, one line

	// Fault is the word for an answer that was given in a silo's place
	// (proxy.Fault), or nil.
	Fault *string `json:"fault"`
}

// Caller is who made a request, as far as that can be told.
type Caller struct {
	Silo    *string `json:"silo"`    // its process belongs to this silo
	PID     *int    `json:"pid"`     // on this machine
	Program *string `json:"program"` // its name
	Address string  `json:"address"` // host:port that the connection, or a trusted front, names

	Gone bool `json:"-"` // it had closed the connection when it was looked for
}

// Name is the caller in one word: a silo, a program, or "outside".
func (c Caller) Name() string {
	switch {
	case c.Silo != nil:
		return *c.Silo
	case c.Program != nil:
		return *c.Program
	}
	return "outside"
}

// Message is one half of an exchange.
type Message struct {
	Header    http.Header `json:"headers"`
	Trailer   http.Header `json:"trailers,omitempty"`
	Bytes     int64       `json:"bytes"` // of the body that passed
	Body      []byte      `json:"body"`  // its first BodyLimit bytes; base64 in JSON
	Truncated bool        `json:"truncated"`
}

// Call counts what one caller has asked of one silo since the log was made,
// whether or not the exchanges are still kept.
type Call struct {
	From     string  `json:"from"` // Caller.Name
	To       string  `json:"to"`
	Crossing bool    `json:"crossing"`
	Requests int64   `json:"requests"`
	Errors   int64   `json:"errors"` // broken, or answered with 500 or above
	Blocked  int64   `json:"blocked"`
	Seconds  float64 `json:"seconds"` // spent on all of them that have ended
}

// URL is the whole URL of the request. Of a scheme it knows what a front has said.
func (e Exchange) URL() string {
	if strings.Contains(e.Path, "://") && !strings.HasPrefix(e.Path, "/") { // the absolute form (RFC 9112, section 3.2.2)
		return e.Path
	}
	scheme, path := "http", e.Path
	if e.Request.Header.Get("X-Forwarded-Proto") == "https" {
		scheme = "https"
	}
	if !strings.HasPrefix(path, "/") { // * of OPTIONS
		path = "/"
	}
	return scheme + "://" + cmp.Or(e.Host, e.Silo) + path
}
