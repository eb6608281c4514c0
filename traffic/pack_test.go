package traffic

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// What a log gives out is what it was given, whether its exchange has ended or not.
func TestPackedIsUnpacked(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := drawExchange(t)
		l := NewLog(DefaultLimit)
		state := want.State
		l.Begin(&want)
		want.State = state
		if want.State != Open {
			l.End(&want)
		}
		got, kept := l.Get(want.ID)
		if diff := cmp.Diff(want, got, cmpopts.EquateApproxTime(0)); diff != "" || !kept {
			t.Fatalf("kept: %v, (-given +kept)\n%s", kept, diff)
		}
	})
}

func drawExchange(t *rapid.T) Exchange {
	text := func(label string) string { return rapid.String().Draw(t, label) }
	return Exchange{
		State: rapid.SampledFrom([]State{Open, Done, Broken}).Draw(t, "state"), Silo: text("silo"),
		Caller: Caller{
			Silo: maybe(t, rapid.String()), PID: maybe(t, rapid.Int()), Program: maybe(t, rapid.String()), Address: text("address"),
		},
		Crossing: rapid.Bool().Draw(t, "crossing"), Blocked: rapid.Bool().Draw(t, "blocked"), ReplayOf: maybe(t, rapid.Uint64()),
		Started: time.Unix(rapid.Int64Range(-1<<40, 1<<40).Draw(t, "at"), rapid.Int64Range(0, 999999999).Draw(t, "ns")),
		Method:  text("method"), Host: text("host"), Path: text("path"), Proto: text("proto"), Status: rapid.Int().Draw(t, "status"),
		Request: drawMessage(t), Response: drawMessage(t),
		FirstByte: maybe(t, rapid.Float64()), Total: maybe(t, rapid.Float64()), Error: maybe(t, rapid.String()), Fault: maybe(t, rapid.String()),
	}
}

func drawMessage(t *rapid.T) Message {
	header := rapid.Map(rapid.MapOf(rapid.String(), rapid.SliceOf(rapid.String())), func(m map[string][]string) http.Header { return m })
	m := Message{Bytes: rapid.Int64().Draw(t, "bytes"), Truncated: rapid.Bool().Draw(t, "truncated")}
	for _, h := range []*http.Header{&m.Header, &m.Trailer} {
		if drawn := maybe(t, header); drawn != nil {
			*h = *drawn
		}
	}
	if body := maybe(t, rapid.SliceOf(rapid.Byte())); body != nil {
		m.Body = *body
	}
	return m
}

func maybe[T any](t *rapid.T, from *rapid.Generator[T]) *T {
	return rapid.Ptr(from, true).Draw(t, "maybe")
}

// What is at hand while a log is empty, and what a full one costs a collection.
func BenchmarkLog(b *testing.B) {
	header := http.Header{}
	for _, name := range []string{"Accept", "Accept-Encoding", "Accept-Language", "Authorization", "Content-Type", "Cookie", "Referer", "User-Agent", "X-Request-Id"} {
		header[name] = []string{"about as long as one of these is, and no longer"}
	}
	e := Exchange{Silo: "us", Method: "GET", Host: "127.0.0.1:8002", Path: "/api/0/organizations/", Proto: "HTTP/1.1", Started: time.Now(), Request: Message{Header: header}}
	l := NewLog(DefaultLimit)
	b.ReportAllocs()
	for b.Loop() {
		l.Begin(&e)
		e.State, e.Status, e.Response = Done, 200, Message{Header: header, Body: make([]byte, 1024)}
		l.End(&e)
	}
}
