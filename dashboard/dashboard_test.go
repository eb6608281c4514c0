package dashboard

import (
	"context"
	"io"
	"maps"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"silo/state"
	"silo/wait/waittest"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func instance(t *testing.T) *state.Dir {
	t.Helper()
	root := t.TempDir()
	dir, err := state.DirFor(func(name string) (string, bool) { return root, name == "SILO_STATE_DIR" }, filepath.Join(root, "silo.toml"))
	must(t, err)
	return dir
}

// serve starts a dashboard whose API echoes the method and the path.
func serve(t *testing.T) *Server {
	t.Helper()
	s, err := Listen(t.Context(), instance(t))
	must(t, err)
	api := http.NewServeMux()
	echo := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Method+" "+r.URL.RequestURI())
	}
	api.HandleFunc("GET /v1/snapshot", echo)
	api.HandleFunc("POST /v1/stop", echo)
	s.Serve(api)
	t.Cleanup(func() { must(t, s.Close(context.Background())) })
	return s
}

// get makes a request. ~ in a path stands for the page's address.
func get(t *testing.T, s *Server, method, path string, header map[string]string) (status int, got http.Header, text string) {
	t.Helper()
	url := s.Address() + path
	if rest, ok := strings.CutPrefix(path, "~"); ok {
		url = s.URL() + rest
	}
	r, err := http.NewRequestWithContext(t.Context(), method, url, http.NoBody)
	must(t, err)
	for name, value := range header {
		r.Header.Set(name, strings.NewReplacer("PORT", port(s), "TOKEN", s.token).Replace(value))
	}
	if host, given := header["Host"]; given {
		r.Host = strings.ReplaceAll(host, "PORT", port(s))
	}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	response, err := transport.RoundTrip(r)
	must(t, err)
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	must(t, err)
	return response.StatusCode, response.Header, string(body)
}

func port(s *Server) string {
	_, port, _ := net.SplitHostPort(s.hosts[0])
	return port
}

func TestGuard(t *testing.T) {
	t.Parallel()
	s := serve(t)
	own := map[string]string{"Origin": "http://127.0.0.1:PORT", "Content-Type": "application/json", "Sec-Fetch-Site": "same-origin"}
	but := func(name, value string) map[string]string {
		header := maps.Clone(own)
		header[name] = value
		return header
	}
	for name, c := range map[string]struct {
		method, path string
		header       map[string]string
		status       int
		body         string // "": anything; "-": empty
	}{
		"the page":                           {"GET", "~", nil, 200, ""},
		"its script":                         {"GET", "~app.js", nil, 200, ""},
		"an unknown file":                    {"GET", "~nosuch.js", nil, 404, "-"},
		"path outside the page":              {"GET", "~../dashboard.go", nil, 404, "-"},
		"data":                               {"GET", "~v1/snapshot?probe=1", nil, 200, "GET /v1/snapshot?probe=1"},
		"data, from the page":                {"GET", "~v1/snapshot", map[string]string{"Sec-Fetch-Site": "same-origin"}, 200, ""},
		"data, from another site":            {"GET", "~v1/snapshot", map[string]string{"Sec-Fetch-Site": "cross-site"}, 403, ""},
		"data, from another port":            {"GET", "~v1/snapshot", map[string]string{"Sec-Fetch-Site": "same-site"}, 403, ""},
		"no token":                           {"GET", "/", nil, 404, "-"},
		"no token, data":                     {"GET", "/v1/snapshot", nil, 404, "-"},
		"another token":                      {"GET", "/AAAAAAAAAAAAAAAAAAAAAAAAAA/", nil, 404, "-"},
		"another host":                       {"GET", "~", map[string]string{"Host": "evil.example"}, 404, "-"},
		"another host, on this port":         {"GET", "~", map[string]string{"Host": "evil.example:PORT"}, 404, "-"},
		"another port":                       {"GET", "~", map[string]string{"Host": "127.0.0.1:1"}, 404, "-"},
		"localhost":                          {"GET", "~", map[string]string{"Host": "localhost:PORT"}, 200, ""},
		"a command":                          {"POST", "~v1/stop", own, 200, "POST /v1/stop"},
		"a command by GET":                   {"GET", "~v1/stop", nil, 405, ""},
		"a command by PUT":                   {"PUT", "~v1/stop", own, 405, ""},
		"a command without an origin":        {"POST", "~v1/stop", map[string]string{"Content-Type": "application/json"}, 403, ""},
		"a command from another origin":      {"POST", "~v1/stop", but("Origin", "http://evil.example"), 403, ""},
		"a command, origin null":             {"POST", "~v1/stop", but("Origin", "null"), 403, ""},
		"a command, https":                   {"POST", "~v1/stop", but("Origin", "https://127.0.0.1:PORT"), 403, ""},
		"a command from another site":        {"POST", "~v1/stop", but("Sec-Fetch-Site", "same-site"), 403, ""},
		"a command as a form":                {"POST", "~v1/stop", but("Content-Type", "text/plain"), 403, ""},
		"a command from an older browser":    {"POST", "~v1/stop", map[string]string{"Origin": "http://127.0.0.1:PORT", "Content-Type": "application/json; charset=utf-8"}, 200, ""},
		"a command with another Host":        {"POST", "~v1/stop", but("Host", "localhost:PORT"), 403, ""},
		"a command whose origin is the Host": {"POST", "~v1/stop", map[string]string{"Host": "localhost:PORT", "Origin": "http://localhost:PORT", "Content-Type": "application/json"}, 200, ""},
		"a command without a token":          {"POST", "/v1/stop", own, 404, "-"},
		"a file by POST":                     {"POST", "~", own, 405, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			status, header, body := get(t, s, c.method, c.path, c.header)
			if status != c.status || c.body == "-" && body != "" || len(c.body) > 1 && body != c.body {
				t.Errorf("%s %s: %d %q", c.method, c.path, status, body)
			}
			for _, name := range []string{"Content-Security-Policy", "Referrer-Policy", "X-Content-Type-Options", "Cross-Origin-Opener-Policy", "Cross-Origin-Resource-Policy"} {
				if header.Get(name) == "" {
					t.Errorf("%s is missing", name)
				}
			}
			if header.Get("Cache-Control") != "no-store" {
				t.Error("the response may be cached")
			}
		})
	}
}

func TestRedirectsToThePage(t *testing.T) {
	t.Parallel()
	s := serve(t)
	ticket := strings.TrimPrefix(s.OneTimeURL(), s.Address())
	for _, c := range []struct {
		path, header string
		status       int
	}{{"/" + s.token, "", 303}, {ticket, "evil.example", 404}, {ticket, "", 303}, {ticket, "", 404}} {
		header := map[string]string{}
		if c.header != "" {
			header["Host"] = c.header
		}
		status, got, _ := get(t, s, "GET", c.path, header)
		if status != c.status || c.status == 303 && got.Get("Location") != "/"+s.token+"/" {
			t.Errorf("%s for %q: %d, to %q", c.path, c.header, status, got.Get("Location"))
		}
	}
	var late tickets
	now := time.Now()
	old := late.issue(now)
	if late.use(old, now.Add(2*ticketLifetime)) {
		t.Error("an expired ticket is valid")
	}
	late.issue(now)
	if late.issue(now.Add(2 * ticketLifetime)); len(late.valid) != 1 {
		t.Errorf("%d tickets are kept, want 1", len(late.valid))
	}
}

func TestPortIsRemembered(t *testing.T) {
	t.Parallel()
	dir := instance(t)
	must(t, dir.SavePorts(map[string]int{"us": 8002}))
	first, err := Listen(t.Context(), dir)
	must(t, err)
	second, err := Listen(t.Context(), dir) // the port is taken
	must(t, err)
	if second.Address() == first.Address() || second.token == first.token {
		t.Error("two dashboards share an address or a token")
	}
	address := second.Address()
	must(t, first.Close(t.Context()))
	must(t, second.Close(t.Context()))
	third, err := Listen(t.Context(), dir)
	must(t, err)
	if third.Address() != address || dir.Ports()["us"] != 8002 {
		t.Errorf("was at %s, is at %s, ports %v", address, third.Address(), dir.Ports())
	}
	must(t, third.Close(t.Context()))
}

// Neither an endless stream nor a connection without a request delays Close.
func TestCloseDoesNotWaitForClients(t *testing.T) {
	t.Parallel()
	s, err := Listen(t.Context(), instance(t))
	must(t, err)
	streaming, left := make(chan struct{}), make(chan struct{})
	s.Serve(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(streaming)
		<-r.Context().Done()
		close(left)
	}))
	idle, err := net.Dial("tcp", s.hosts[0])
	must(t, err)
	defer func() { _ = idle.Close() }()
	done := make(chan struct{})
	go func() {
		defer close(done)
		transport := &http.Transport{}
		defer transport.CloseIdleConnections()
		r, _ := http.NewRequestWithContext(context.Background(), "GET", s.URL()+"v1/watch", http.NoBody)
		if response, err := transport.RoundTrip(r); err == nil {
			_ = response.Body.Close()
		}
	}()
	waittest.Receive(t, streaming, "the request of the stream")
	must(t, s.Close(t.Context()))
	waittest.Receive(t, left, "the end of the stream")
	waittest.Receive(t, done, "the end of the client")
}

// All files that the page loads exist, and it follows its content policy: nothing inline,
// nothing from other hosts, and no markup from data.
func TestPageFollowsItsPolicy(t *testing.T) {
	t.Parallel()
	entries, err := files.ReadDir("page")
	must(t, err)
	forbidden := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|<style|style=|<script>|\son[a-z]+="|javascript:|localStorage|document\.cookie`)
	elsewhere := regexp.MustCompile(`(?:src|href|url\(|import|from)[\s=("']+(?:https?:)?//`)
	known := fstest.MapFS{}
	for _, entry := range entries {
		data, err := files.ReadFile("page/" + entry.Name())
		must(t, err)
		known[entry.Name()] = &fstest.MapFile{}
		if found := forbidden.Find(data); found != nil {
			t.Errorf("%s contains %s", entry.Name(), found)
		}
		if found := elsewhere.Find(data); found != nil {
			t.Errorf("%s loads %s", entry.Name(), found)
		}
		if mediaTypes[filepath.Ext(entry.Name())] == "" {
			t.Errorf("%s has no media type", entry.Name())
		}
	}
	imports := regexp.MustCompile(`from "\./([a-z]+\.js)"|(?:src|href)="([a-z]+\.[a-z]+)"`)
	for name := range known {
		data, _ := files.ReadFile("page/" + name)
		for _, found := range imports.FindAllSubmatch(data, -1) {
			if asked := string(found[1]) + string(found[2]); known[asked] == nil {
				t.Errorf("%s loads %s, which does not exist", name, asked)
			}
		}
	}
}
