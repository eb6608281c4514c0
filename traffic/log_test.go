package traffic

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"silo/wait/waittest"
)

// Whatever begins and ends, the latest exchanges are kept, within the limit, and each
// exchange that has ended is counted.
func TestLogKeepsTheLatestWithinItsLimit(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.Int64Range(1, 20_000).Draw(t, "limit")
		l := NewLog(limit)
		var open []Exchange
		var ended int64
		begun := uint64(0)
		sent := map[uint64]int{} // bytes of each request
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			if len(open) > 0 && rapid.Bool().Draw(t, "end") {
				i := rapid.IntRange(0, len(open)-1).Draw(t, "which")
				e := open[i]
				open = append(open[:i:i], open[i+1:]...)
				e.State, e.Status = Done, 200
				e.Response.Body = make([]byte, rapid.IntRange(0, 5000).Draw(t, "body"))
				l.End(&e)
				ended++
			} else {
				e := Exchange{Silo: "eu", Request: Message{
					Header: http.Header{"A": {strings.Repeat("x", rapid.IntRange(0, 5000).Draw(t, "header"))}},
					Body:   make([]byte, rapid.IntRange(0, 5000).Draw(t, "sent")),
				}}
				l.Begin(&e)
				begun++
				if e.ID != begun {
					t.Fatalf("exchange %d has ID %d", begun, e.ID)
				}
				open, sent[e.ID] = append(open, e), len(e.Request.Body)
			}
			list, _ := l.List(Filter{}, 0)
			var total int64
			for i, e := range list {
				total += size(&e)
				if want := begun - uint64(len(list)) + uint64(i) + 1; e.ID != want {
					t.Fatalf("got exchange %d, want %d", e.ID, want)
				}
				if len(e.Request.Body) != sent[e.ID] {
					t.Fatalf("exchange %d has a request of %d bytes, want %d", e.ID, len(e.Request.Body), sent[e.ID])
				}
			}
			if total > limit && len(list) > 1 {
				t.Fatalf("%d exchanges take %d of %d bytes", len(list), total, limit)
			}
			if begun > 0 && len(list) == 0 {
				t.Fatal("the latest is not kept")
			}
			if total != l.bytes {
				t.Fatalf("counted %d bytes, want %d", l.bytes, total)
			}
		}
		var counted int64
		for _, c := range l.Calls() {
			counted += c.Requests
		}
		if counted != ended {
			t.Fatalf("counted %d of %d", counted, ended)
		}
	})
}

// The estimated size of exchanges is close to the memory that they use.
func TestFullLogUsesItsLimit(t *testing.T) {
	for name, fields := range map[string]int{"no headers": 0, "usual headers": 12, "many headers": 400} {
		l := NewLog(DefaultLimit)
		before := heap()
		for n := range 60_000 {
			e := Exchange{Silo: "us", Method: "GET", Host: "127.0.0.1:8002", Path: fmt.Sprintf("/api/0/organizations/%d/", n)}
			e.Request.Header, e.Response.Header = http.Header{}, http.Header{}
			for i := range fields {
				e.Request.Header[fmt.Sprintf("X-Field-%d", i)] = []string{fmt.Sprintf("the value of field %d", i)}
				e.Response.Header[fmt.Sprintf("X-Field-%d", i)] = []string{fmt.Sprintf("the value of field %d", i)}
			}
			l.Begin(&e)
			e.State, e.Response.Body = Done, make([]byte, 100)
			l.End(&e)
			if len(l.kept) < n/2 {
				break // the log is full
			}
		}
		took := float64(heap()-before) / DefaultLimit
		runtime.KeepAlive(l)
		t.Logf("%s: %d exchanges take %.2f of the limit", name, len(l.kept), took)
		if took < 0.5 || took > 1.25 {
			t.Errorf("%s: a full log takes %.2f of its limit", name, took)
		}
	}
}

// heap returns the bytes in use on the heap.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestLogReportsChanges(t *testing.T) {
	t.Parallel()
	l := NewLog(DefaultLimit)
	_, version := l.List(Filter{}, 0)
	_, _, changed := l.Since(version, Filter{})
	select {
	case <-changed:
		t.Fatal("reports a change before the first")
	default:
	}
	first, second := Exchange{Silo: "eu"}, Exchange{Silo: "us"}
	l.Begin(&first)
	l.Begin(&second)
	waittest.Receive(t, changed, "a change")
	list, version, changed := l.Since(version, Filter{})
	if len(list) != 2 || list[0].ID != first.ID || list[1].ID != second.ID || list[0].State != Open {
		t.Fatalf("got %+v", list)
	}
	l.Update(second.ID, func(e *Exchange) { e.Status = 200 })
	waittest.Receive(t, changed, "an update")
	first.State, first.Status = Done, 503
	l.End(&first)
	list, version, _ = l.Since(version, Filter{})
	if len(list) != 2 || list[0].Status != 200 || list[0].State != Open || list[1].Status != 503 {
		t.Fatalf("not in the order of their changes: %+v", list)
	}
	if list[0].Version != version-1 || list[1].Version != version {
		t.Errorf("versions %d and %d, want the last two of %d", list[0].Version, list[1].Version, version)
	}
	if list, _, _ = l.Since(version, Filter{}); len(list) != 0 {
		t.Errorf("got %+v again", list)
	}
	if list, _, _ = l.Since(version+1, Filter{}); len(list) != 2 {
		t.Errorf("got %+v for a version of another log, want all", list)
	}
	if calls := l.Calls(); len(calls) != 1 || calls[0].From != "outside" || calls[0].Errors != 1 {
		t.Errorf("calls %+v", calls)
	}
}

// The log returns what it was given, and does not change what it has returned.
func TestLogKeepsCopies(t *testing.T) {
	t.Parallel()
	l := NewLog(DefaultLimit)
	e := Exchange{
		Silo: "eu", Caller: Caller{Silo: new("us"), PID: new(1)}, Method: "GET", Path: "/", Status: 200, ReplayOf: new(uint64(3)),
		Request: Message{Header: http.Header{"A": {"1"}}, Bytes: 3, Body: []byte("abc")}, FirstByte: new(0.5),
	}
	l.Begin(&e)
	before, _ := l.Get(e.ID)
	if diff := cmp.Diff(e, before); diff != "" {
		t.Errorf("(-given +kept)\n%s", diff)
	}
	e.State, e.Status = Done, 404
	if now, _ := l.Get(e.ID); now.Status != 200 {
		t.Error("the log does not keep a copy")
	}
	l.End(&e)
	l.Update(e.ID, func(e *Exchange) { e.Status = 500 })
	if now, _ := l.Get(e.ID); now.Status != 404 || before.Status != 200 {
		t.Errorf("status %d after the end, %d before", now.Status, before.Status)
	}
	for _, id := range []uint64{0, e.ID + 1} {
		if got, ok := l.Get(id); ok {
			t.Errorf("exchange %d is %+v", id, got)
		}
	}
}

func TestListReturnsTheLatest(t *testing.T) {
	t.Parallel()
	l := NewLog(DefaultLimit)
	for _, silo := range []string{"us", "eu", "us", "us"} {
		l.Begin(&Exchange{Silo: silo})
	}
	list, _ := l.List(Filter{Silos: []string{"us"}}, 2)
	if len(list) != 2 || list[0].ID != 3 || list[1].ID != 4 {
		t.Errorf("got %+v", list)
	}
}

func TestCallsAreCounted(t *testing.T) {
	t.Parallel()
	l := NewLog(DefaultLimit)
	for _, e := range []Exchange{
		{Silo: "eu", Caller: Caller{Silo: new("us")}, State: Done, Status: 499, Total: new(0.5), Crossing: true},
		{Silo: "eu", Caller: Caller{Silo: new("us")}, State: Done, Status: 500, Total: new(0.25)},
		{Silo: "eu", Caller: Caller{Silo: new("us")}, State: Broken, Blocked: true},
		{Silo: "eu", Caller: Caller{Program: new("curl")}, State: Done},
	} {
		ended := e
		l.Begin(&ended)
		ended.State = e.State
		l.End(&ended)
	}
	want := []Call{{From: "curl", To: "eu", Requests: 1}, {From: "us", To: "eu", Crossing: true, Requests: 3, Errors: 2, Blocked: 1, Seconds: 0.75}}
	if diff := cmp.Diff(want, l.Calls()); diff != "" {
		t.Error(diff)
	}
}
