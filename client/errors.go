package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"silo/proxy"
)

// ErrRequest is wrapped by the error of a request that cannot be sent.
var ErrRequest = errors.New("not a request")

// UnknownError names a silo that the instance does not have.
type UnknownError struct {
	Name  string
	Known []string // in the order of the topology
}

func (e *UnknownError) Error() string {
	return fmt.Sprintf("unknown silo %q (have: %s)", e.Name, strings.Join(e.Known, ", "))
}

// HostError means that a silo's host did not answer: unknown name, no connection,
// or a connection that was closed. It is Sentry's ApiHostError.
type HostError struct {
	Silo, URL string
	Err       error
}

func (e *HostError) Error() string {
	return fmt.Sprintf("%s cannot be reached at %s: %v", e.Silo, e.URL, e.Err)
}

func (e *HostError) Unwrap() error { return e.Err }

// TimeoutError means that a silo did not answer in time. It is Sentry's
// ApiTimeoutError.
type TimeoutError struct{ Silo, URL string }

func (e *TimeoutError) Error() string {
	return fmt.Sprintf("%s did not answer in time at %s", e.Silo, e.URL)
}

// TunnelError is a response of a silo's tunnel, not of the silo.
type TunnelError struct {
	Silo, URL string
	Status    int
	// Code is an error code of ngrok, such as ERR_NGROK_3200, or a proxy.Fault of
	// silo's own tunnel.
	Code string
}

func (e *TunnelError) Error() string {
	if e.Ngrok() {
		return fmt.Sprintf("ngrok answered instead of %s at %s: %s (status %d)", e.Silo, e.URL, e.Code, e.Status)
	}
	return fmt.Sprintf("%s (its tunnel answered %d at %s)", proxy.Fault(e.Code).Message(e.Silo), e.Status, e.URL)
}

// Ngrok reports whether the ngrok service responded.
func (e *TunnelError) Ngrok() bool { return strings.HasPrefix(e.Code, "ERR_NGROK_") }

// Timeout reports whether the tunnel timed out waiting for the silo.
func (e *TunnelError) Timeout() bool { return e.Code == string(proxy.Timeout) }

// ngrokErrorHeader is on every response of the ngrok service itself. A silo behind
// it cannot set it (ngrok-docs, endpoints/cloud-endpoints/http).
const ngrokErrorHeader = "Ngrok-Error-Code"

// tunnelError returns a TunnelError if a header shows that the silo did not respond.
func tunnelError(silo, at string, status int, header http.Header) error {
	for _, name := range []string{ngrokErrorHeader, proxy.ErrorHeader} {
		if code := header.Get(name); code != "" {
			return &TunnelError{Silo: silo, URL: at, Status: status, Code: code}
		}
	}
	return nil
}

// errTimeout is the cause of a request's context when it times out.
var errTimeout = errors.New("timeout")

// classify converts a net/http error into one of this package. It returns a cancellation unchanged.
func classify(ctx context.Context, silo, at string, err error) error {
	var timeout interface{ Timeout() bool }
	switch {
	case errors.Is(context.Cause(ctx), errTimeout):
		return &TimeoutError{silo, at}
	case errors.Is(ctx.Err(), context.Canceled):
		return context.Canceled
	case errors.As(err, &timeout) && timeout.Timeout():
		return &TimeoutError{silo, at}
	}
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err // without the URL, which HostError adds
	}
	return &HostError{silo, at, err}
}
