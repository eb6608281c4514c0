package proxy

import (
	"net/http"
	"net/url"
)

// Gateway make a Proxy a gateway, which knows more of its requests than a tunnel
// does. The functions are called from many goroutines at once. Route must be
// set; of the others nil changes nothing.
type Gateway struct {
	// Route says where a request goes: scheme, host and port; Options.Target and
	// HostHeader then say nothing, and the host is what the silo sees as Host.
	// Its error is answered, as any other.
	Route func(r *http.Request) (*url.URL, error)
	// Request has the last word on what is sent. out is in without its
	// hop-by-hop headers; only in is to be read for what the client sent. What
	// the client said of those before it (Forwarded, X-Forwarded-…) is in out
	// as it came.
	Request func(out, in *http.Request)
	// Response has the last word on what goes back: its error is answered instead.
	Response func(*http.Response) error
	// Statuses are what faults are answered with, where that is not the usual.
	Statuses map[Fault]int
}

// FaultError is a Fault with words for it: what Gateway may fail with, and what may
// be the cause that a request's context ends with (context.WithCancelCause). Any
// other error gets the words of what it is found to be.
type FaultError struct {
	Fault  Fault
	Detail string // one line
	Hint   string // a command that helps, or empty
}

func (f *FaultError) Error() string { return f.Detail }
