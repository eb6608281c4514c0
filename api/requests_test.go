package api

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"silo/orchestrator"
	"silo/plan"
	"silo/traffic"
)

// planted is a secret that no response may contain.
const planted = "PLANTED"

func pass(log *traffic.Log, silo, path string, status int) {
	e := traffic.Exchange{
		Silo: silo, Method: http.MethodGet, Path: path + "?token=" + planted, Started: time.Now(),
		Request: traffic.Message{Header: http.Header{"Authorization": {"Bearer " + planted}}, Bytes: 3, Body: []byte("abc")},
	}
	log.Begin(&e)
	e.State, e.Status = traffic.Done, status
	log.End(&e)
}

func TestRequestsFilter(t *testing.T) {
	t.Parallel()
	_, in, client := serve(t)
	for _, path := range []string{"/a", "/b", "/c"} {
		pass(in.Traffic(), "us", path, http.StatusOK)
	}
	pass(in.Traffic(), "control", "/a", http.StatusBadGateway)
	bad, err := traffic.ParseStatuses("5xx")
	must(t, err)
	for name, test := range map[string]struct {
		filter traffic.Filter
		n      int
		ids    []uint64
	}{
		"all":          {traffic.Filter{}, 0, []uint64{1, 2, 3, 4}},
		"the latest":   {traffic.Filter{}, 2, []uint64{3, 4}},
		"of a silo":    {traffic.Filter{Silos: []string{"us"}, Path: "/c"}, 0, []uint64{3}},
		"of two":       {traffic.Filter{Silos: []string{"us", "control"}, Path: "/a"}, 0, []uint64{1, 4}},
		"that failed":  {traffic.Filter{Statuses: bad, From: "outside", Method: "GET"}, 0, []uint64{4}},
		"of no caller": {traffic.Filter{From: "none"}, 0, nil},
		"crossings":    {traffic.Filter{Crossing: true}, 0, nil},
	} {
		list, version, err := client.Requests(t.Context(), test.filter, test.n)
		must(t, err)
		var ids []uint64
		for _, e := range list {
			ids = append(ids, e.ID)
			if e.Request.Body != nil || e.Request.Bytes != 3 || strings.Contains(e.Path, planted) {
				t.Errorf("%s: got %+v", name, e)
			}
		}
		if len(ids) != len(test.ids) || len(ids) > 0 && ids[0] != test.ids[0] || version != 8 {
			t.Errorf("%s: got %v at %d, want %v", name, ids, version, test.ids)
		}
	}
	var unknown *plan.UnknownSiloError
	if _, _, err := client.Requests(t.Context(), traffic.Filter{Silos: []string{"nosuch"}}, 0); !errors.As(err, &unknown) || len(unknown.Known) != 2 {
		t.Errorf("an unknown silo: %v", err)
	}
}

func TestExchange(t *testing.T) {
	t.Parallel()
	_, in, client := serve(t)
	pass(in.Traffic(), "us", "/a", http.StatusOK)
	e, err := client.Exchange(t.Context(), 1)
	must(t, err)
	if string(e.Request.Body) != "abc" || e.Path != "/a?token=***" || e.Request.Header.Get("Authorization") != "Bearer ***" {
		t.Errorf("got %+v", e)
	}
	if _, err := client.Exchange(t.Context(), 2); !errors.Is(err, orchestrator.ErrNotKept) {
		t.Errorf("an unknown exchange: %v", err)
	}
	if _, err := client.Replay(t.Context(), 2, ""); !errors.Is(err, orchestrator.ErrNotKept) {
		t.Errorf("replay of an unknown exchange: %v", err)
	}
	cut := traffic.Exchange{Silo: "us", Started: time.Now(), Request: traffic.Message{Bytes: 1 << 20, Truncated: true}}
	in.Traffic().Begin(&cut)
	cut.State = traffic.Done
	in.Traffic().End(&cut)
	var no *orchestrator.UnrepeatableError
	if _, err := client.Replay(t.Context(), cut.ID, ""); !errors.As(err, &no) || no.ID != cut.ID || no.Why == "" {
		t.Errorf("replay of a truncated exchange: %v", err)
	}
	har, err := client.HAR(t.Context(), traffic.Filter{}, 0)
	must(t, err)
	if !json.Valid(har) || !strings.Contains(string(har), `"creator":{"name":"silo","version":"test"}`) || strings.Contains(string(har), planted) {
		t.Errorf("exported: %s", har)
	}
	one, err := client.ExchangeHAR(t.Context(), 1)
	must(t, err)
	if !json.Valid(one) || strings.Count(string(one), `"startedDateTime"`) != 1 || strings.Contains(string(one), planted) {
		t.Errorf("exported one: %s", one)
	}
	if _, err := client.ExchangeHAR(t.Context(), 99); !errors.Is(err, orchestrator.ErrNotKept) {
		t.Errorf("export of an unknown exchange: %v", err)
	}
}

func TestWatchRequests(t *testing.T) {
	t.Parallel()
	_, in, client := serve(t)
	pass(in.Traffic(), "us", "/before", http.StatusOK)
	_, version, err := client.Requests(t.Context(), traffic.Filter{}, 0)
	must(t, err)
	open := traffic.Exchange{Silo: "us", Path: "/stream"}
	in.Traffic().Begin(&open)
	in.Traffic().Begin(&traffic.Exchange{Silo: "control"})
	var seen []traffic.State
	err = client.watchRequests(t.Context(), version, traffic.Filter{Silos: []string{"us"}}, func(e traffic.Change) bool {
		if e.ID != open.ID {
			t.Errorf("got %+v", e)
		}
		if seen = append(seen, e.State); e.State == traffic.Open {
			open.State = traffic.Done
			in.Traffic().End(&open)
		}
		return e.State == traffic.Open
	})
	must(t, err)
	if len(seen) != 2 {
		t.Errorf("seen: %v", seen)
	}
	// A version of another supervisor starts from the beginning.
	err = client.watchRequests(t.Context(), version+1000, traffic.Filter{}, func(traffic.Change) bool { return false })
	must(t, err)
	err = client.FollowRequests(t.Context(), traffic.Filter{}, 1, func(traffic.Exchange) bool {
		must(t, client.Down(t.Context(), true))
		return true
	})
	if !errors.Is(err, ErrNotRunning) {
		t.Errorf("FollowRequests returns %v", err)
	}
}

// A disconnected watcher continues from the version of its last line, so every line of an
// update has its own version.
func TestWatchVersions(t *testing.T) {
	t.Parallel()
	i := launch(t, t.TempDir())
	defer i.end(t)
	for _, path := range []string{"/a", "/b", "/c"} {
		pass(i.Traffic(), "us", path, http.StatusOK)
	}
	s := newServer(i.Supervisor, i.options, i.dir.Logs(), defaultTimeouts())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	near, far := net.Pipe()
	listener := make(pipes, 1)
	listener <- far
	s.serve(listener)
	go func() {
		_, _ = io.WriteString(near, "GET /v1/requests/watch HTTP/1.1\r\nHost: silo\r\n\r\n")
		<-ctx.Done()
		_ = near.Close()
	}()
	response, err := http.ReadResponse(bufio.NewReader(near), nil)
	must(t, err)
	lines := json.NewDecoder(response.Body)
	for want := uint64(1); want <= 3; want++ {
		var change traffic.Change
		must(t, lines.Decode(&change))
		if change.ID != want || change.Version != 2*want {
			t.Errorf("line %d: %+v", want, change)
		}
	}
	cancel()
	_ = response.Body.Close() // the stream continues
	must(t, s.Close(context.Background()))
}

// publicGet returns the response of the public handler.
func publicGet(t *testing.T, i instance, path string) (status int, body string) {
	t.Helper()
	s := newServer(i.Supervisor, i.options, i.dir.Logs(), defaultTimeouts())
	page := httptest.NewServer(s.Handler())
	defer page.Close()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, page.URL+path, nil)
	must(t, err)
	response, err := page.Client().Do(request)
	must(t, err)
	defer func() { _ = response.Body.Close() }() // read below
	text, err := io.ReadAll(response.Body)
	must(t, err)
	return response.StatusCode, string(text)
}

func TestPublicHandler(t *testing.T) {
	t.Parallel()
	i := launch(t, t.TempDir())
	defer i.end(t)
	pass(i.Traffic(), "us", "/a", http.StatusOK)
	must(t, os.WriteFile(i.dir.Logs()+"/us.log", []byte("one\n\x1b[1mtwo\nthree\n"), 0o600))
	must(t, os.WriteFile(i.dir.Logs()+"/gone.log", []byte("of old\n"), 0o600))
	for path, want := range map[string]struct {
		status   int
		contains string
	}{
		"/v1/snapshot":                     {200, `"run_id"`},
		"/v1/requests":                     {200, `"version":2,"requests":[{"id":1,`},
		"/v1/requests?n=x":                 {400, `n is not a non-negative number`},
		"/v1/requests?n=-1":                {400, `n is not a non-negative number`},
		"/v1/requests?status=5":            {400, `a class like 5xx`},
		"/v1/requests?silo=nosuch":         {404, `"silo":"nosuch"`},
		"/v1/requests/1":                   {200, `"body":"YWJj"`},
		"/v1/requests/2":                   {404, `"not_kept":true`},
		"/v1/requests/one":                 {400, `is a number`},
		"/v1/requests/1/har":               {200, `{"log":{"version":"1.2"`},
		"/v1/requests/2/har":               {404, `"not_kept":true`},
		"/v1/requests.har":                 {200, `{"log":{"version":"1.2"`},
		"/v1/calls":                        {200, `{"calls":[{"from":"outside","to":"us"`},
		"/v1/logs?silo=us&n=2":             {200, `,"text":"two"}`},
		"/v1/logs?silo=us&grep=%5Eth":      {200, `,"text":"three"}`},
		"/v1/logs?silo=gone":               {200, `{"silo":"gone"`},
		"/v1/logs?silo=nosuch":             {404, `"silo":"nosuch"`},
		"/v1/logs?grep=%28":                {400, `grep: `},
		"/v1/logs?n=many":                  {400, `n is not a non-negative number`},
		"/v1/config":                       {404, ``},
		"/v1/tail?n=1&silo=us":             {404, ``},
		"/v1/requests/watch?since=-1":      {400, `since is not a non-negative number`},
		"/v1/requests/watch?silo=nosuch":   {404, `"silo":"nosuch"`},
		"/v1/requests/watch?status=server": {400, `server`},
	} {
		status, body := publicGet(t, i, path)
		if status != want.status || !strings.Contains(body, want.contains) || strings.Contains(body, planted) {
			t.Errorf("%s: %d, %s", path, status, body)
		}
	}
}

func TestFollowLogs(t *testing.T) {
	t.Parallel()
	i := launch(t, t.TempDir())
	s := newServer(i.Supervisor, i.options, i.dir.Logs(), defaultTimeouts())
	page := httptest.NewServer(s.Handler())
	defer page.Close()
	must(t, os.WriteFile(i.dir.Logs()+"/us.log", []byte("one\n"), 0o600))
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, page.URL+"/v1/logs?silo=us&follow=1", nil)
	must(t, err)
	response, err := page.Client().Do(request)
	must(t, err)
	defer func() { _ = response.Body.Close() }() // read below
	lines := json.NewDecoder(response.Body)
	var line LogLine
	must(t, lines.Decode(&line))
	file, err := os.OpenFile(i.dir.Logs()+"/us.log", os.O_APPEND|os.O_WRONLY, 0)
	must(t, err)
	_, err = file.WriteString("two\n")
	must(t, errors.Join(err, file.Close()))
	must(t, lines.Decode(&line))
	if line.Silo != "us" || line.Text != "two" || line.At.IsZero() {
		t.Errorf("got %+v", line)
	}
	i.end(t)
	if err := lines.Decode(&line); !errors.Is(err, io.EOF) {
		t.Errorf("after the instance has ended: %+v, %v", line, err)
	}
}

// If a client queries its request after the answer, the request has ended. A long exchange
// delays no query.
func TestWaitForRecent(t *testing.T) {
	t.Parallel()
	_, in, client := serve(t)
	in.Traffic().Begin(&traffic.Exchange{Silo: "us", Path: "/stream", Started: time.Now().Add(-time.Hour)})
	e := traffic.Exchange{Silo: "us", Started: time.Now()}
	in.Traffic().Begin(&e)
	_, _, queried := in.Traffic().Since(0, traffic.Filter{})
	go func() {
		in.Traffic().Begin(&traffic.Exchange{Silo: "us", Path: "/stream", Started: time.Now().Add(-time.Hour)})
		select {
		case <-queried:
		case <-t.Context().Done():
			return
		}
		e.State = traffic.Done
		in.Traffic().End(&e)
	}()
	got, err := client.Exchange(t.Context(), e.ID)
	must(t, err)
	if got.State != traffic.Done {
		t.Errorf("got %+v", got)
	}
	if list, _, err := client.Requests(t.Context(), traffic.Filter{}, 0); err != nil || len(list) != 3 {
		t.Errorf("got %+v, %v", list, err)
	}
}
