package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"silo/proxy"
	"silo/state"
)

// UnknownError names a silo that the instance has not.
type UnknownError struct {
	Name  string
	Known []string // as the topology has them
}

func (e *UnknownError) Error() string {
	return fmt.Sprintf("unknown silo %q (have: %s)", e.Name, strings.Join(e.Known, ", "))
}

func unknownSilo(name string, s *state.Snapshot) error {
	e := &UnknownError{Name: name}
	for _, silo := range s.Silos {
		e.Known = append(e.Known, silo.Name)
	}
	return e
}

// HostError says that a silo's host gave no answer: no such name, no connection,
// or one that broke off. Sentry's ApiHostError.
type HostError struct {
	Silo, URL string
	Err       error
}

func (e *HostError) Error() string {
	return fmt.Sprintf("%s cannot be reached at %s: %v", e.Silo, e.URL, e.Err)
}

func (e *HostError) Unwrap() error { return e.Err }

// TimeoutError says that a silo did not answer in time. Sentry's ApiTimeoutError.
type TimeoutError struct{ Silo, URL string }

func (e *TimeoutError) Error() string {
	return fmt.Sprintf("%s did not answer in time at %s", e.Silo, e.URL)
}

// Timeout makes it a net.Error's kind.
func (e *TimeoutError) Timeout() bool { return true }

// StatusError is a silo's own answer with a status of 400 or more. Sentry's ApiError.
type StatusError struct {
	Silo, URL string
	Status    int
	Header    http.Header
	Body      []byte // its first MiB
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("%s answered %d %s at %s", e.Silo, e.Status, http.StatusText(e.Status), e.URL)
}

// TunnelError is an answer that the silo has not given: its tunnel has.
type TunnelError struct {
	Silo, URL string
	Status    int
	// Code is ngrok's, as ERR_NGROK_3200; or a proxy.Fault, where silo's own
	// tunnel answered.
	Code string
}

func (e *TunnelError) Error() string {
	if e.Ngrok() {
		return fmt.Sprintf("ngrok answered in place of %s at %s: %s (status %d)", e.Silo, e.URL, e.Code, e.Status)
	}
	return fmt.Sprintf("%s (its tunnel answered %d at %s)", proxy.Fault(e.Code).Message(e.Silo), e.Status, e.URL)
}

// Ngrok tells whether the ngrok service answered.
func (e *TunnelError) Ngrok() bool { return strings.HasPrefix(e.Code, "ERR_NGROK_") }

// Timeout tells whether the tunnel had waited for the silo in vain.
func (e *TunnelError) Timeout() bool { return e.Code == string(proxy.Timeout) }

// ngrokError is on whatever the ngrok service answers by itself. Nothing behind
// it can set it (ngrok-docs, endpoints/cloud-endpoints/http).
const ngrokError = "Ngrok-Error-Code"

// tunnelled finds out by its header an answer that is not the silo's.
func tunnelError(silo, at string, status int, header http.Header) error {
	for _, name := range []string{ngrokError, proxy.ErrorHeader} {
		if code := header.Get(name); code != "" {
			return &TunnelError{Silo: silo, URL: at, Status: status, Code: code}
		}
	}
	return nil
}

// errLate is why a request's context ends when its time is up.
var errLate = errors.New("out of time")

// kind makes an error of net/http one of this package's; a wish to end stays what
// it is.
func classify(ctx context.Context, silo, at string, err error) error {
	var timeout interface{ Timeout() bool }
	switch {
	case errors.Is(context.Cause(ctx), errLate):
		return &TimeoutError{silo, at}
	case errors.Is(ctx.Err(), context.Canceled):
		return context.Canceled
	case errors.As(err, &timeout) && timeout.Timeout():
		return &TimeoutError{silo, at}
	}
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err // URL and method are told already
	}
	return &HostError{silo, at, err}
}
