package proxy

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"silo/traffic"
)

// Recording says where a Proxy keeps what it forwards, and how it tells who calls.
// The functions are called from many goroutines at once.
type Recording struct {
	// Log keeps each exchange: it is there from the arrival of the request's header,
	// and complete once the answer has ended and its caller is known.
	Log *traffic.Log
	// Caller tells which process is at the far end of a connection, by the addresses
	// of this end and of that. It is asked once for each connection, beside the first
	// request, whose answer waits for it at its end, 10 ms at most. Nil: not told. Where
	// forwarding headers are trusted it is not asked: the first hop of X-Forwarded-For
	// is the caller.
	Caller func(local, remote net.Addr) traffic.Caller
	// Crosses tells whether a call from one silo to another is one that must not
	// be. It is asked once for each exchange whose caller is a silo. Nil: none is.
	Crosses func(from, to string) bool
	// Blocks tells whether such calls are answered with Isolated in place of being
	// forwarded. Requests then wait until their caller is known. Nil: no.
	Blocks func() bool
}

// errClosing is why requests end that the end of Serve has cut.
var errClosing = errors.New("the tunnel was closed")

// record is serve with a witness.
func (p *Proxy) record(w http.ResponseWriter, r *http.Request) {
	seen := p.witness(w, r)
	defer seen.testify(r.Context())
	if seen.sent != nil {
		r = r.WithContext(r.Context()) // the server looks at the body of its own again (Expect: 100-continue)
		r.Body = seen.sent
	}
	if seen.barred(r.Context()) {
		p.answer(seen, r, &FaultError{Fault: Isolated, Detail: isolated(*seen.Caller.Silo, p.options.Silo), Hint: isolatedHint})
	} else {
		p.serve(seen, r)
	}
	seen.returned = true
}

// witness notes one exchange as it passes: it stands for the client's
// ResponseWriter, and has a tape in the request's body. What is noted at once is in
// its Exchange, the rest is added when the handler has ended.
//
// Headers are kept as they are, not copied. Those of the request are net/http's,
// made anew for each request, and nobody behind a Proxy may change them: what is
// sent on is a clone. Those of the answer belong to the handler until it has ended,
// and to nobody after (net/http sends a clone of its own).
type witness struct {
	http.ResponseWriter
	traffic.Exchange

	recording *Recording
	request   *http.Request
	again     *replay // nil: it is none
	unmet     *peer   // who will tell the caller; nil: that was known at once, or is not told
	sent      *sentBody
	answered  tape
	line      *upgradedConn // once upgraded
	header    http.Header   // a copy for a header that trailers will be added to
	failed    error         // of writing to the client
	returned  bool          // the handler has, and has not panicked

	mu    sync.Mutex // guards Caller and Crossing, and all below
	known bool       // both count
	over  bool       // the handler has ended, and all else is noted
}

func (p *Proxy) witness(w http.ResponseWriter, r *http.Request) *witness {
	seen := &witness{ResponseWriter: w, recording: p.options.Recording, request: r}
	seen.Exchange = traffic.Exchange{
		Silo: p.options.Silo, Caller: traffic.Caller{Address: r.RemoteAddr}, Started: time.Now(),
		Method: r.Method, Host: r.Host, Path: r.RequestURI, Proto: r.Proto,
	}
	seen.Request.Header = r.Header
	if r.Body != nil && r.Body != http.NoBody {
		seen.sent = &sentBody{ReadCloser: r.Body, declared: r.ContentLength}
	}
	p.recognise(seen, r)
	seen.recording.Log.Begin(&seen.Exchange)
	if seen.unmet != nil {
		seen.unmet.tell(seen.meet)
	}
	return seen
}

// recognise notes who calls, or who will tell.
func (p *Proxy) recognise(seen *witness, r *http.Request) {
	seen.again, _ = r.Context().Value(replayKey{}).(*replay)
	peer, served := r.Context().Value(peerKey{}).(*peer) // or another server than Serve has it
	switch {
	case seen.again != nil:
		of := seen.again.of
		seen.ReplayOf, seen.Caller = &of, seen.again.caller
	case p.options.TrustForwarded:
		seen.Caller.Address = firstHop(r)
	case seen.recording.Caller != nil && served:
		caller, found := peer.look(seen.recording.Caller)
		if !found {
			seen.unmet = peer
			return
		}
		seen.judge(caller)
	}
	seen.known = true
}

// firstHop is whom a trusted front names as the client.
func firstHop(r *http.Request) string {
	hop, _, _ := strings.Cut(r.Header.Get("X-Forwarded-For"), ",")
	if hop = strings.TrimSpace(hop); hop != "" {
		return hop
	}
	return r.RemoteAddr
}

// judge notes the caller. It needs mu, once there is anybody else.
func (w *witness) judge(caller traffic.Caller) {
	caller.Address = w.Caller.Address
	w.Caller, w.known = caller, true
	w.Crossing = caller.Silo != nil && w.recording.Crosses != nil && w.recording.Crosses(*caller.Silo, w.Silo)
}

// meet is told the caller, at whatever time that is found. It counts once.
func (w *witness) meet(caller traffic.Caller) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.known {
		return
	}
	w.judge(caller)
	if w.over {
		w.end()
		return
	}
	w.recording.Log.Update(w.ID, func(e *traffic.Exchange) { e.Caller, e.Crossing = w.Caller, w.Crossing })
}

// barred tells whether the request is not to be forwarded.
func (w *witness) barred(ctx context.Context) bool {
	if w.recording.Blocks == nil || !w.recording.Blocks() {
		return false
	}
	if !w.await(ctx) {
		panic(http.ErrAbortHandler) // the client is gone, or the server closes
	}
	if w.Caller.Gone {
		panic(http.ErrAbortHandler) // nobody waits for an answer, and it may have been one to be barred
	}
	w.Blocked = w.Crossing // which never changes once it counts
	return w.Blocked
}

// await waits until the caller is known; false: ctx ended first.
func (w *witness) await(ctx context.Context) bool {
	if w.unmet == nil {
		return true
	}
	caller, found := w.unmet.await(ctx)
	if found {
		w.meet(caller)
	}
	return found
}

// joinLimit bounds how long the end of a connection's first answer is held back for
// the caller's sake: he may hang up the moment he has it, and is then not found any
// more. Mostly he has been found by then.
const joinLimit = 10 * time.Millisecond

// join waits a moment for the caller, where an answer is about to end.
func (w *witness) join(ctx context.Context) {
	if w.unmet == nil || !w.returned || w.failed != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, joinLimit)
	defer cancel()
	w.await(ctx)
}

// testify ends the exchange, once its handler has returned or panicked. Where the
// caller is not known by then, meet has the last word.
func (w *witness) testify(ctx context.Context) {
	total := time.Since(w.Started).Seconds()
	w.join(ctx)
	w.Total = &total
	w.State = traffic.Done
	if reason := w.reason(ctx); reason != "" {
		w.State, w.Error = traffic.Broken, &reason
	} else if w.Status == 0 {
		w.note(http.StatusOK) // net/http says so where a handler says nothing
	}
	w.developRequest()
	w.developResponse()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	if w.known {
		w.end()
	}
}

func (w *witness) end() {
	if w.again != nil {
		w.again.outcome = w.Exchange
	}
	w.recording.Log.End(&w.Exchange)
}

// reason is why an exchange is broken; empty: it is not.
func (w *witness) reason(ctx context.Context) string {
	switch {
	case w.line != nil, w.returned && w.failed == nil:
		return ""
	case errors.Is(context.Cause(ctx), errClosing):
		return errClosing.Error()
	case w.failed != nil, ctx.Err() != nil:
		return "the client has gone"
	}
	return "silo " + w.Silo + " broke off within its answer"
}

func (w *witness) developRequest() {
	if w.sent == nil {
		return
	}
	var ended bool
	w.Request.Body, w.Request.Bytes, ended = w.sent.stop()
	whole := ended || w.sent.declared >= 0 && w.Request.Bytes == w.sent.declared
	w.Request.Truncated = !whole || w.Request.Bytes > int64(len(w.Request.Body))
	if ended && len(w.request.Trailer) > 0 {
		w.Request.Trailer = w.request.Trailer // net/http fills it in up to the end of the body
	}
}

func (w *witness) developResponse() {
	if w.line != nil {
		w.Response.Header = w.Header()
		w.Request.Bytes, w.Response.Bytes = w.line.counted()
		return
	}
	if w.Status == 0 {
		return
	}
	w.Response.Body, w.Response.Bytes = w.answered.kept, w.answered.bytes
	w.Response.Truncated = w.State == traffic.Broken || w.answered.bytes > int64(len(w.answered.kept))
	w.Response.Header, w.Response.Trailer = trailers(w.header, w.Header())
}

// trailers parts what a handler left in its header map. before is a copy from when
// the header was sent, where trailers were announced, or nil.
func trailers(before, after http.Header) (header, trailer http.Header) {
	if before != nil {
		trailer = http.Header{}
		for _, list := range before["Trailer"] {
			for name := range strings.SplitSeq(list, ",") {
				name = http.CanonicalHeaderKey(strings.TrimSpace(name))
				if values := after[name]; len(values) > len(before[name]) {
					trailer[name] = values[len(before[name]):]
				} else if !slices.Equal(values, before[name]) {
					trailer[name] = values // it stands in the place of a field of the header
				}
			}
		}
	}
	header = after
	for key := range after {
		name, late := strings.CutPrefix(key, http.TrailerPrefix)
		if !late {
			continue
		}
		if trailer == nil {
			trailer = http.Header{}
		}
		trailer[name] = after[key]
		if before == nil {
			before = after.Clone()
		}
		delete(before, key)
	}
	if before != nil {
		header = before
	}
	return header, trailer
}

// instead notes that an answer is given in the silo's place.
func (w *witness) instead(fault Fault) {
	word := string(fault)
	w.Fault = &word
}

// note is the moment of the answer's header.
func (w *witness) note(status int) {
	if w.Status != 0 {
		return
	}
	first := time.Since(w.Started).Seconds()
	w.Status, w.FirstByte = status, &first
	if len(w.Header()["Trailer"]) > 0 {
		w.header = w.Header().Clone()
	}
	if lasts(status, w.Header()) {
		header := w.Header().Clone() // the handler still has it
		w.recording.Log.Update(w.ID, func(e *traffic.Exchange) {
			e.Status, e.FirstByte, e.Response.Header = status, &first, header
		})
	}
}

// lasts tells of an answer whose end may be long in coming: it is worth to show how
// it begins.
func lasts(status int, header http.Header) bool {
	return status == http.StatusSwitchingProtocols || strings.HasPrefix(header.Get("Content-Type"), "text/event-stream")
}

// WriteHeader notes the last status: others before it, below 200, are news.
func (w *witness) WriteHeader(status int) {
	if status >= http.StatusOK || status == http.StatusSwitchingProtocols {
		w.note(status)
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *witness) Write(p []byte) (int, error) {
	w.note(http.StatusOK)
	n, err := w.ResponseWriter.Write(p)
	w.answered.take(p[:n], w.declared)
	if err != nil {
		w.failed = err
	}
	return n, err
}

func (w *witness) adopt(header http.Header) { adopt(w.ResponseWriter, header) }

// declared is how long the answer's body says it is; 0: it does not.
func (w *witness) declared() int64 { return declaredIn(w.Header()) }

// Unwrap lets http.ResponseController reach what flushes.
func (w *witness) Unwrap() http.ResponseWriter { return w.ResponseWriter }
