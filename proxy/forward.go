package proxy

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// forward sends a request to host and its answer back. It stands for
// httputil.ReverseProxy, which clones all that it passes, holds a slow body of
// known length back, and cannot be told by what connection a request goes.
func (p *Proxy) forward(w http.ResponseWriter, r *http.Request, scheme, host string) {
	out := p.outgoing(r, scheme, host)
	var body *lentBody
	if out.Body != nil {
		// A transport may read on after it has answered, and a request's body is the
		// server's once its handler has returned.
		body = &lentBody{Reader: out.Body}
		out.Body = body
		defer body.takeBack()
	}
	answer, err := p.lines.send(out, func(code int, header http.Header) { passEarly(w, r, code, header) })
	if body != nil && r.ProtoMajor == 1 && !body.ended.Load() {
		// net/http cannot go on to another request behind a body that is left over, once
		// it has been told of a full duplex: it panics (net/http, server.go, connReader).
		w.Header().Set("Connection", "close")
	}
	if err == nil && answer.StatusCode < http.StatusContinue {
		_ = answer.Body.Close() // no ResponseWriter takes it
		err = fmt.Errorf("an answer %d, which is no status", answer.StatusCode)
	}
	if err != nil {
		p.answer(w, out, err)
		return
	}
	if answer.StatusCode == http.StatusSwitchingProtocols {
		p.upgrade(w, out, answer)
		return
	}
	strip(answer.Header)
	if !p.judge(w, out, answer) {
		return
	}
	respond(w, answer)
}

// judge gives the rules the last word on an answer. False: another was given.
func (p *Proxy) judge(w http.ResponseWriter, out *http.Request, answer *http.Response) bool {
	if p.options.Rules == nil || p.options.Rules.Response == nil {
		return true
	}
	if err := p.options.Rules.Response(answer); err != nil {
		_ = answer.Body.Close() // nobody gets it
		p.answer(w, out, err)
		return false
	}
	return true
}

// passEarly passes an informational answer on, but not to a client of HTTP/1.0,
// which knows none (RFC 9110, section 15.2).
func passEarly(w http.ResponseWriter, r *http.Request, code int, header http.Header) {
	if !r.ProtoAtLeast(1, 1) {
		return
	}
	strip(header)
	to := w.Header()
	maps.Copy(to, header)
	w.WriteHeader(code)
	clear(to) // a ResponseWriter does so for none but the last answer
}

// respond passes an answer on: its body as it comes, its trailers after that.
func respond(w http.ResponseWriter, answer *http.Response) {
	adopt(w, answer.Header)
	header := w.Header()
	if _, said := header["Content-Type"]; !said {
		header["Content-Type"] = nil // or net/http guesses one
	}
	announced := len(answer.Trailer)
	if announced > 0 {
		delete(header, "Content-Length") // HTTP/2 may have both, HTTP/1.1 has not
	}
	for name := range answer.Trailer {
		header.Add("Trailer", name)
	}
	w.WriteHeader(answer.StatusCode)
	if header["Content-Type"] == nil {
		delete(header, "Content-Type") // what was sent is a clone, and this is kept by who records
	}
	if err := copyBody(w, answer); err != nil {
		_ = answer.Body.Close() // the connection goes with it
		panic(http.ErrAbortHandler)
	}
	_ = answer.Body.Close() // read to its end
	if len(answer.Trailer) == 0 {
		return
	}
	// Or a short body would be given a length, and trailers need chunks.
	_ = http.NewResponseController(w).Flush()
	for name, values := range answer.Trailer {
		if len(answer.Trailer) != announced {
			name = http.TrailerPrefix + name
		}
		header[name] = values
	}
}

// adopter is a ResponseWriter that can take a header as its own.
type adopter interface{ adopt(header http.Header) }

// adopt adds a header to that of w. The header is w's from then on.
func adopt(w http.ResponseWriter, header http.Header) {
	if own, can := w.(adopter); can {
		own.adopt(header)
		return
	}
	maps.Copy(w.Header(), header)
}

// copyBody passes each part of a body on when it comes. It spares a body that is
// whole at once the second write.
func copyBody(w http.ResponseWriter, answer *http.Response) error {
	if answer.Body == http.NoBody {
		return nil
	}
	buffer := copyBuffers.get()
	defer copyBuffers.put(buffer)
	control := http.NewResponseController(w)
	if body, ok := answer.Body.(*wireBody); !ok || !body.waits() {
		_ = control.Flush() // a header must not wait for its body; a writer that cannot do so has no client
	}
	for left := answer.ContentLength; ; {
		n, err := answer.Body.Read(buffer[:])
		if n > 0 {
			if _, err := w.Write(buffer[:n]); err != nil {
				return err
			}
			if left -= int64(n); left != 0 {
				_ = control.Flush() // as above
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// copySize is how much of a body is passed on at once, as far as it has come: large
// ones in few calls of the kernel.
const copySize = 64 << 10

// buffers is a pool of copy buffers that costs no allocation to put back into.
type buffers struct{ pool sync.Pool }

var copyBuffers buffers

func (b *buffers) get() *[copySize]byte {
	if buffer, ok := b.pool.Get().(*[copySize]byte); ok {
		return buffer
	}
	return new([copySize]byte)
}

func (b *buffers) put(buffer *[copySize]byte) { b.pool.Put(buffer) }

// lentBody is a request's body that its handler can take back.
type lentBody struct {
	io.Reader

	over, ended atomic.Bool
}

func (b *lentBody) Read(p []byte) (int, error) {
	if b.over.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := b.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		b.ended.Store(true)
	}
	return n, err
}

// Close leaves the body to its server: to close it is to read what is left of it,
// which a client may never send that waits for a 100.
func (b *lentBody) Close() error { return nil }

// takeBack lets no Read begin any more.
func (b *lentBody) takeBack() { b.over.Store(true) }

// early takes informational answers, while a request waits for the last one.
type early func(code int, header http.Header)

// sendBy sends a request by a transport of net/http, which gives early answers
// from a goroutine of its own, also after it has returned.
func sendBy(transport http.RoundTripper, r *http.Request, pass early) (*http.Response, error) {
	var mu sync.Mutex // guards over, and the writer that pass writes to
	over := false
	ctx := httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
			mu.Lock()
			defer mu.Unlock()
			if !over {
				pass(code, http.Header(header))
			}
			return nil
		},
	})
	if _, said := r.Header["User-Agent"]; !said {
		r.Header["User-Agent"] = []string{""} // or net/http says that it is one
	}
	answer, err := transport.RoundTrip(r.WithContext(ctx))
	mu.Lock()
	defer mu.Unlock()
	over = true
	return answer, err
}

// hasToken tells whether a list of comma-separated tokens has one.
func hasToken(values []string, token string) bool {
	return slices.ContainsFunc(values, func(value string) bool {
		for item := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(strings.Trim(item, " \t"), token) {
				return true
			}
		}
		return false
	})
}
