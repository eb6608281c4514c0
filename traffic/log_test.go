package traffic

import (
	"bytes"
	"net/http"
	"runtime"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"
)

// Whatever begins and ends, what is kept are the latest, within the bound, and
// every one that has ended is counted.
func TestLogKeepsTheLatestWithinItsBound(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.Int64Range(1, 20_000).Draw(t, "limit")
		l := NewLog(limit)
		var open []Exchange
		var ended int64
		begun := uint64(0)
		sent := map[uint64]int{} // bytes of each one's request
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
				e := Exchange{Silo: "eu", Request: Message{Body: make([]byte, rapid.IntRange(0, 5000).Draw(t, "sent"))}}
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
					t.Fatalf("kept %d where %d belongs", e.ID, want)
				}
				if len(e.Request.Body) != sent[e.ID] {
					t.Fatalf("exchange %d has a request of %d bytes, and was given %d", e.ID, len(e.Request.Body), sent[e.ID])
				}
			}
			if total > limit && len(list) > 1 {
				t.Fatalf("%d exchanges take %d of %d bytes", len(list), total, limit)
			}
			if begun > 0 && len(list) == 0 {
				t.Fatal("the latest is not kept")
			}
		}
		var counted int64
		for _, c := range l.Calls() {
			counted += c.Requests
		}
		if counted != ended {
			t.Fatalf("%d of %d counted", counted, ended)
		}
	})
}

func TestLogTellsWhatChanged(t *testing.T) {
	t.Parallel()
	l := NewLog(DefaultLimit)
	_, version := l.List(Filter{}, 0)
	_, _, changed := l.Since(version, Filter{})
	select {
	case <-changed:
		t.Fatal("nothing has changed")
	default:
	}
	first, second := Exchange{Silo: "eu"}, Exchange{Silo: "us"}
	l.Begin(&first)
	l.Begin(&second)
	<-changed
	list, version, _ := l.Since(version, Filter{})
	if len(list) != 2 || list[0].ID != first.ID || list[1].ID != second.ID || list[0].State != Open {
		t.Fatalf("got %+v", list)
	}
	first.State, first.Status = Done, 503
	l.End(&first)
	if list, _, _ = l.Since(version, Filter{Silos: []string{"eu"}}); len(list) != 1 || list[0].Status != 503 {
		t.Fatalf("got %+v", list)
	}
	if calls := l.Calls(); len(calls) != 1 || calls[0].From != "outside" || calls[0].Errors != 1 {
		t.Errorf("calls %+v", calls)
	}
}

// Who looks through a full log leaves its lock, which each request needs, to others.
func TestWhoLooksHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	l := NewLog(DefaultLimit)
	header := http.Header{"Accept": {"*/*"}, "Content-Type": {"application/json"}, "Cookie": {"a=b"}, "Date": {"now"}, "User-Agent": {"x"}}
	for range 20_000 {
		e := Exchange{Silo: "us", Request: Message{Header: header}, Response: Message{Header: header}}
		l.Begin(&e)
		e.State = Done
		l.End(&e)
	}
	nothing := Filter{Path: "no such path"}
	for name, look := range map[string]func(){
		"List":  func() { l.List(nothing, 1) },
		"Since": func() { l.Since(0, nothing) },
	} {
		var over atomic.Bool
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer over.Store(true)
			for range 5 {
				look()
			}
		}()
		held, all := 0, 0
		for ; !over.Load(); all++ {
			if l.mu.TryLock() {
				l.mu.Unlock()
			} else {
				held++
			}
			runtime.Gosched()
		}
		<-done
		if all < 10 || held > all/2 {
			t.Errorf("%s holds the lock at %d of %d looks at it", name, held, all)
		}
	}
}

func TestMasked(t *testing.T) {
	t.Parallel()
	const planted = "PLANTED"
	header := http.Header{
		"Authorization": {"Bearer " + planted}, "Cookie": {"sentrysid=" + planted + "; csrf=" + planted},
		"Set-Cookie": {"sid=" + planted + "; Path=/; HttpOnly"}, "X-Api-Key": {planted}, "X-Csrftoken": {planted},
		"X-Sentry-Auth": {planted}, "X-Sentry-Subnet-Signature": {planted}, "Referer": {"http://x/?code=1&access_token=" + planted},
		"Accept": {"text/html"}, "Www-Authenticate": {"Basic"},
		"Location": {"//u:" + planted + "@h/"}, "Content-Location": {"/a?token=" + planted}, "Refresh": {"0; url=/a?token=" + planted},
		"Link": {"<http://h/a?token=" + planted + ">; rel=\"next\", <http://" + planted + "@h/>"}, "X-Original-Url": {"/a;token=" + planted},
		"X-Forwarded-Uri": {"/a?b=%3Ftoken%3D" + planted}, "X-Anything": {"see /a?token=" + planted + " for more"},
		"From": {"a@b.c"}, "User-Agent": {"bot (+http://h/?about; ?)"},
	}
	e := Exchange{Path: "/a?q=1&Token=" + planted + "&x", Request: Message{Header: header}, Response: Message{Header: header, Trailer: http.Header{"X-Secret": {planted}}}}
	got := e.Masked()
	var text bytes.Buffer
	text.WriteString(got.Path)
	for _, h := range []http.Header{got.Request.Header, got.Response.Header, got.Response.Trailer} {
		_ = h.Write(&text)
	}
	if bytes.Contains(text.Bytes(), []byte(planted)) {
		t.Errorf("a secret is left:\n%s", text.String())
	}
	for _, want := range []string{
		"Authorization: Bearer ***", "Cookie: sentrysid=***; csrf=***", "Set-Cookie: sid=***; Path=/; HttpOnly", "Accept: text/html", "Www-Authenticate: Basic",
		"Refresh: 0; url=/a?token=***", "Link: <http://h/a?token=***>; rel=\"next\", <http://***@h/>", "X-Anything: see /a?token=*** for more",
		"From: a@b.c", "User-Agent: bot (+http://h/?about; ?)", "/a?q=1&Token=***&x",
	} {
		if !bytes.Contains(text.Bytes(), []byte(want)) {
			t.Errorf("no %q in\n%s", want, text.String())
		}
	}
	if header.Get("X-Api-Key") != planted {
		t.Error("the exchange itself has changed")
	}
}

func TestMaskedLooksEverywhere(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]string{
		"/x?a=b#access_token=hunter2":       "/x?a=b#access_token=***",
		"/x?%zztoken=hunter2&b=1":           "/x?%zztoken=***&b=1",
		"/x?a=1;token=hunter2":              "/x?a=1;token=***",
		"http://u:hunter2@h:1/p@q?jwt=":     "http://***@h:1/p@q?jwt=***",
		"https://h/cb#state=1&code_token=x": "https://h/cb#state=1&code_token=***",
		"/plain?q=http://x@y":               "/plain?q=http://***@y",

		"//u:hunter2@h/": "//***@h/",
		"http://u:hunt&er2;@h/a;token=hunter2/b?c":  "http://***@h/a;token=***/b?c",
		"/x?a=x://y/&b=http://u:hunter2@h/@&c=1":    "/x?a=x://y/&b=http://***@h/@&c=1",
		"/x?b=%2F%2Fu%3Ahunter2%40h%2F&c=1":         "/x?b=%2F%2F***%40h%2F&c=1",
		"/x?next=/b?token=hunter2&a=1":              "/x?next=/b?token=***&a=1",
		"/x?next=%2Fb%3Ftoken%3Dhunter2%26a%3D1":    "/x?next=%2Fb%3Ftoken%3D***%26a%3D1",
		"/x?next=%252Fb%253Fa%253D1%2526jwt%253Dh2": "/x?next=%252Fb%253Fa%253D1%2526jwt%253D***",
		"/to/http%3A%2F%2Fh%2F%3Ftoken%3Dhunter2":   "/to/http%3A%2F%2Fh%2F%3Ftoken%3D***",
		"/x?state=token%3Dhunter2":                  "/x?state=token%3D***",
		"/x?a=%2525252525257b":                      "/x?a=***", // nobody knows what that is
		"/x?%74oken%zz=hunter2":                     "/x?%74oken%zz=***",
		"/x?data[token]=hunter2#password=hunter2":   "/x?data[token]=***#password=***",
		"/x?token=hunter2;er&a=1":                   "/x?token=***&a=1",
		"/x?token=hunter2;a=1":                      "/x?token=***;a=1",
		"/x?token=/hunter2?&a":                      "/x?token=***&a",

		// what is no secret stays as it is
		"/cb?to=https://x&user=a@b&page=2":         "/cb?to=https://x&user=a@b&page=2",
		"/cb?to=https%3A%2F%2Fx%26user%3Da%40b":    "/cb?to=https%3A%2F%2Fx%26user%3Da%40b",
		"/npm//@scope/a@1?q=a//b@c":                "/npm//@scope/a@1?q=a//b@c",
		"/x?q=is%3Aopen%20token%20a%3Db&m=a%40b.c": "/x?q=is%3Aopen%20token%20a%3Db&m=a%40b.c",
		"/x?q=the+token&%zz=%":                     "/x?q=the+token&%zz=%",
	} {
		if got := maskQuery(said); got != want {
			t.Errorf("%s becomes %s", said, got)
		}
	}
	for said, want := range map[string]string{
		`{"password": 123456, "a": 1}`:             `{"password": "***", "a": 1}`,
		`{"password":["hunter2","]"],"a":"b"}`:     `{"password":"***","a":"b"}`,
		`{"tokens":{"a":"hunter2","b":{}},"a":[]}`: `{"tokens":"***","a":[]}`,
		`{"is_auth":true,"token":null}`:            `{"is_auth":true,"token":null}`,
		`{"a":{"pin_token":7}}`:                    `{"a":{"pin_token":"***"}}`,
		`{"token":["hunter2`:                       `{"token":"***`,
	} {
		if got := string(maskJSON([]byte(said))); got != want {
			t.Errorf("%s becomes %s", said, got)
		}
	}
}

func TestParseStatuses(t *testing.T) {
	t.Parallel()
	for text, cases := range map[string]map[int]bool{
		"":             {0: true, 200: true},
		"5xx":          {500: true, 599: true, 499: false, 0: false},
		"404, 300-399": {404: true, 304: true, 405: false},
		"20x":          {201: true, 210: false},
	} {
		s, err := ParseStatuses(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
		}
		again, err := ParseStatuses(s.String())
		if err != nil {
			t.Errorf("%q is written %q: %v", text, s, err)
		}
		for status, want := range cases {
			if s.Match(status) != want || again.Match(status) != want {
				t.Errorf("%q: %d", text, status)
			}
		}
	}
	for _, text := range []string{"5", "abc", "500-400", "5xx,", "-", "1000", "-01"} {
		if s, err := ParseStatuses(text); err == nil {
			t.Errorf("%q is %v", text, s)
		}
	}
}
