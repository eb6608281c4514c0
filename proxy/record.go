package proxy

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"silo/traffic"
)

// Recording configures what a Proxy records. The functions are called from many
// goroutines at once.
type Recording struct {
	// Log stores each exchange from the arrival of the request's header. The exchange
	// ends once the response has ended and the caller is known.
	Log *traffic.Log
	// Caller returns the process at the far end of a connection, given its local and
	// remote addresses. It is called once per connection, concurrently with its first
	// request, and delays that response by at most CallerDelay. Nil: callers are not
	// looked up. If forwarding headers are trusted, it is not called: the caller is the
	// first address in X-Forwarded-For.
	Caller func(local, remote net.Addr) traffic.Caller
	// CallerDelay bounds how long a connection's first response waits for the lookup of
	// its caller: after the response, the client may disconnect at once and can no
	// longer be found.
	CallerDelay time.Duration
	// Crosses reports whether a call from one silo to another crosses regions. It is
	// called once for each exchange whose caller is a silo. Nil means never.
	Crosses func(from, to string) bool
	// Blocks reports whether crossing calls are answered with Isolated instead of being
	// forwarded. If set, each request waits until its caller is known. Nil means no.
	Blocks func() bool
}

const isolatedHint = "[isolation] regions in silo.toml"

// record forwards r, unless isolation blocks it, and records the exchange.
func (p *Proxy) record(client *clientWriter, r *http.Request) {
	rec := p.newRecorder(client, r)
	defer func() { //nolint:contextcheck // finish gets the request's context
		v := recover()
		rec.panicked = v != nil && v != http.ErrAbortHandler //nolint:errorlint // the very value
		rec.finish(r.Context())
		if v != nil {
			panic(v) // the server logs it, with the stack of the first panic
		}
	}()
	if rec.requestBody != nil {
		r.Body = rec.requestBody
	}
	if rec.blocked(r.Context()) {
		from := *rec.Caller.Silo
		p.answerError(rec, r, &FaultError{
			Fault: Isolated, Hint: isolatedHint,
			Detail: "region " + from + " may not call region " + rec.Silo + ": regions cannot reach one another in production",
		})
	} else {
		p.forward(rec, r)
	}
	rec.returned = true
}

// recorder records one exchange. It wraps the ResponseWriter and the request's body.
//
// It keeps the request's header map without cloning it: the server makes a new map for
// each request, and ReverseProxy sends a clone.
type recorder struct {
	*clientWriter
	traffic.Exchange

	recording    *Recording
	replay       *replay       // nil unless the request is a replay
	lookup       *callerLookup // nil if the caller is known from the start or cannot be known
	requestBody  *recordedBody // nil if the request has none
	responseBody bodyCapture
	header       http.Header // a copy of the final header; trailers are added to the original
	writeErr     error       // error from writing to the client
	returned     bool        // the handler has returned, not panicked
	panicked     bool        // with a value other than http.ErrAbortHandler

	mu         sync.Mutex // guards Caller and Crossing, and all below
	identified bool       // Caller and Crossing are final
	finished   bool       // all other fields are final
}

func (p *Proxy) newRecorder(client *clientWriter, r *http.Request) *recorder {
	rec := &recorder{clientWriter: client, recording: p.options.Recording}
	rec.Exchange = traffic.Exchange{
		Silo: p.options.Silo, Caller: traffic.Caller{Address: r.RemoteAddr}, Started: time.Now(),
		Method: r.Method, Host: r.Host, Path: r.RequestURI, Proto: r.Proto,
	}
	rec.Request.Header = r.Header
	if client.body != nil {
		rec.requestBody = &recordedBody{ReadCloser: client.body, length: r.ContentLength}
	}
	rec.identify(r, p.options.TrustForwarded)
	rec.recording.Log.Begin(&rec.Exchange)
	if rec.lookup != nil {
		rec.lookup.then(rec.setCaller)
	}
	return rec
}

// identify sets the caller if it is known; otherwise it starts the lookup.
func (w *recorder) identify(r *http.Request, trustForwarded bool) {
	w.replay, _ = r.Context().Value(replayKey{}).(*replay)
	lookup, _ := r.Context().Value(callerKey{}).(*callerLookup) // set only by Serve
	switch {
	case w.replay != nil:
		of := w.replay.of
		w.ReplayOf, w.Caller = &of, w.replay.caller
	case trustForwarded:
		hop, _, _ := strings.Cut(r.Header.Get("X-Forwarded-For"), ",")
		if hop = strings.TrimSpace(hop); hop != "" {
			w.Caller.Address = hop
		}
	case w.recording.Caller != nil && lookup != nil:
		lookup.start(w.recording.Caller)
		select {
		case <-lookup.done:
			w.classify(lookup.caller)
		default:
			w.lookup = lookup
			return
		}
	}
	w.identified = true
}

// classify records the caller, and whether its call crosses regions. Once the recorder
// is shared, the caller must hold mu.
func (w *recorder) classify(caller traffic.Caller) {
	caller.Address = w.Caller.Address
	w.Caller, w.identified = caller, true
	w.Crossing = caller.Silo != nil && w.recording.Crosses != nil && w.recording.Crosses(*caller.Silo, w.Silo)
}

// setCaller records the caller after the lookup. Only the first call has an effect.
func (w *recorder) setCaller(caller traffic.Caller) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.identified {
		return
	}
	w.classify(caller)
	if w.finished {
		w.end()
		return
	}
	w.recording.Log.Update(w.ID, func(e *traffic.Exchange) { e.Caller, e.Crossing = w.Caller, w.Crossing })
}

// awaitCaller blocks until the caller is known. It returns false if ctx ended first.
func (w *recorder) awaitCaller(ctx context.Context) bool {
	if w.lookup == nil {
		return true
	}
	select {
	case <-w.lookup.done:
		w.setCaller(w.lookup.caller)
		return true
	case <-ctx.Done():
		return false
	}
}

// delayForCaller blocks until the caller is known, for at most CallerDelay.
func (w *recorder) delayForCaller() {
	if w.lookup == nil {
		return
	}
	ctx, cancel := context.WithTimeout(w.request.Context(), w.recording.CallerDelay)
	defer cancel()
	w.awaitCaller(ctx)
}

// blocked reports whether isolation forbids forwarding the request.
func (w *recorder) blocked(ctx context.Context) bool {
	if w.recording.Blocks == nil || !w.recording.Blocks() {
		return false
	}
	if !w.awaitCaller(ctx) || w.Caller.Gone {
		// The client disconnected before it could be identified: abort.
		panic(http.ErrAbortHandler)
	}
	w.Blocked = w.Crossing
	return w.Blocked
}

// finish completes the exchange after the handler has returned or panicked. If the
// caller is still unknown, setCaller completes it later.
func (w *recorder) finish(ctx context.Context) {
	total := time.Since(w.Started).Seconds()
	w.Total = &total
	w.State = traffic.Done
	if reason := w.failure(ctx); reason != "" {
		w.State, w.Error = traffic.Broken, &reason
	} else if w.Status == 0 {
		w.begin(http.StatusOK) //nolint:contextcheck // as net/http does; it uses the request's context
	}
	w.finishRequest()
	w.finishResponse()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.finished = true
	if w.identified {
		w.end()
	}
}

// end must be called with mu held.
func (w *recorder) end() {
	if w.replay != nil {
		w.replay.outcome = w.Exchange
	}
	w.recording.Log.End(&w.Exchange)
}

// failure returns why the exchange is broken, or "".
func (w *recorder) failure(ctx context.Context) string {
	switch {
	case w.upgraded != nil, w.returned && w.writeErr == nil:
		return ""
	case w.panicked:
		return "silo's proxy failed; the stack trace is in its log"
	case errors.Is(context.Cause(ctx), errClosing):
		return errClosing.Error()
	case w.writeErr != nil, ctx.Err() != nil, w.requestBody != nil && w.requestBody.disconnected():
		return errDisconnected.Error()
	}
	return "silo " + w.Silo + " closed the connection in the middle of its answer"
}

func (w *recorder) finishRequest() {
	if w.requestBody == nil {
		return
	}
	capture, ended := w.requestBody.stop()
	w.Request.Body, w.Request.Bytes = capture.kept, capture.bytes
	whole := ended || w.requestBody.length >= 0 && capture.bytes == w.requestBody.length
	w.Request.Truncated = !whole || capture.truncated()
	if trailer := w.request.Trailer; ended && len(trailer) > 0 {
		w.Request.Trailer = trailer // the values are set once the body has been read
	}
}

func (w *recorder) finishResponse() {
	switch {
	case w.upgraded != nil:
		w.Response.Header = w.Header()
		w.Request.Bytes, w.Response.Bytes = w.upgraded.received.Load(), w.upgraded.returned.Load()
	case w.Status != 0:
		w.Response.Body, w.Response.Bytes = w.responseBody.kept, w.responseBody.bytes
		w.Response.Truncated = w.State == traffic.Broken || w.responseBody.truncated()
		w.Response.Header, w.Response.Trailer = w.header, trailers(w.header, w.Header())
	}
}

// trailers returns the trailers in after, the header map once the handler has returned.
// before is a copy taken when the header was sent.
func trailers(before, after http.Header) http.Header {
	trailer := http.Header{}
	for _, list := range before["Trailer"] {
		for name := range strings.SplitSeq(list, ",") {
			name = http.CanonicalHeaderKey(strings.TrimSpace(name))
			if values := after[name]; len(values) > len(before[name]) { // ReverseProxy appends
				trailer[name] = values[len(before[name]):]
			}
		}
	}
	for key, values := range after {
		if name, ok := strings.CutPrefix(key, http.TrailerPrefix); ok {
			trailer[name] = values
		}
	}
	if len(trailer) == 0 {
		return nil
	}
	return trailer
}

// begin records that the final header is about to be sent. It waits briefly for the
// caller.
func (w *recorder) begin(status int) {
	if w.Status != 0 {
		return
	}
	defer w.delayForCaller()
	first := time.Since(w.Started).Seconds()
	w.Status, w.FirstByte, w.header = status, &first, w.Header().Clone()
	if status == http.StatusSwitchingProtocols || strings.HasPrefix(w.header.Get("Content-Type"), "text/event-stream") {
		// The response may take a long time, so show its beginning.
		w.recording.Log.Update(w.ID, func(e *traffic.Exchange) {
			e.Status, e.FirstByte, e.Response.Header = status, &first, w.header
		})
	}
}

// WriteHeader records the final status.
func (w *recorder) WriteHeader(status int) {
	if status >= http.StatusOK {
		w.begin(status)
	}
	w.clientWriter.WriteHeader(status)
}

func (w *recorder) Write(p []byte) (int, error) {
	w.begin(http.StatusOK)
	n, err := w.clientWriter.Write(p)
	w.responseBody.add(p[:n])
	if err != nil {
		w.writeErr = err
	}
	return n, err
}

// Hijack records an upgrade.
func (w *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := w.clientWriter.Hijack()
	if err == nil {
		w.begin(http.StatusSwitchingProtocols)
	}
	return conn, buffered, err
}

// bodyCapture keeps the beginning of a body and counts all of it.
type bodyCapture struct {
	bytes int64
	kept  []byte
}

func (c *bodyCapture) add(p []byte) {
	c.bytes += int64(len(p))
	c.kept = append(c.kept, p[:min(len(p), traffic.BodyLimit-len(c.kept))]...)
}

func (c *bodyCapture) truncated() bool { return c.bytes > int64(len(c.kept)) }

// recordedBody captures a request's body while the transport reads it.
type recordedBody struct {
	io.ReadCloser

	length int64 // -1: unknown

	mu      sync.Mutex // guards all below: a Read may outlive the handler (go.dev/issue/46866)
	capture bodyCapture
	err     error // of the last Read
	stopped bool
}

func (b *recordedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.stopped {
		b.capture.add(p[:n])
		b.err = err
	}
	return n, err
}

func (b *recordedBody) disconnected() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return errors.Is(b.err, errDisconnected)
}

// stop returns what has been captured. Later reads are not recorded.
func (b *recordedBody) stop() (capture bodyCapture, ended bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stopped = true
	return b.capture, errors.Is(b.err, io.EOF)
}
