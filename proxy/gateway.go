package proxy

import (
	"net/http"
	"net/url"
)

// Gateway makes a Proxy a gateway, which routes each request individually. All fields
// but Statuses must be set. The functions are called from many goroutines at once.
type Gateway struct {
	// Target returns the scheme, host and port for a request. Host and port also become
	// its Host header. An error is handled like any other failure.
	Target func(r *http.Request) (*url.URL, error)
	// Rewrite may change the outgoing request. Hop-by-hop headers have been removed;
	// Forwarded and X-Forwarded-* are as the client sent them.
	Rewrite func(out *http.Request)
	// ModifyResponse may change the response. If it fails, the client gets its error instead.
	ModifyResponse func(response *http.Response) error
	// Statuses override the status of an error page.
	Statuses map[Fault]int
}
