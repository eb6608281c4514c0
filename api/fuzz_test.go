package api

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// FuzzRequest sends arbitrary bytes. The server must respond or disconnect within seconds,
// must not panic, must answer a valid request afterwards, and must keep no goroutine for a
// client that has disconnected.
func FuzzRequest(f *testing.F) {
	for _, seed := range []struct{ method, target, header, body string }{
		{"GET", "/v1/snapshot", "", ""},
		{"GET", "/v1/snapshot?probe=1", "Connection: close", ""},
		{"GET", "/v1/watch", "", ""},
		{"GET", "/v1/watch", "", "GET /v1/config HTTP/1.1\r\nHost: silo\r\n\r\n"},
		{"GET", "/v1/config", "", ""},
		{"GET", "/v1/tail?silo=us&n=20", "", ""},
		{"GET", "/v1/tail?silo=us&n=-1", "", ""},
		{"GET", "/v1/tail?silo=%00&n=9223372036854775807", "", ""},
		{"GET", "/v1/requests", "", ""},
		{"GET", "/v1/requests?silo=us&from=control&method=GET&path=/a&status=5xx,404&crossing=1&n=0", "", ""},
		{"GET", "/v1/requests?n=-1&status=5", "", ""},
		{"GET", "/v1/requests/1", "", ""},
		{"GET", "/v1/requests/18446744073709551616", "", ""},
		{"GET", "/v1/requests/watch?since=0", "", ""},
		{"GET", "/v1/requests/watch?since=9223372036854775807&silo=us", "", ""},
		{"GET", "/v1/requests/watch?since=9223372036854775808", "", ""},
		{"GET", "/v1/requests.har?silo=nosuch", "", ""},
		{"GET", "/v1/requests.har?n=1", "", ""},
		{"GET", "/v1/requests/1/har", "", ""},
		{"GET", "/v1/calls", "", ""},
		{"GET", "/v1/logs?silo=us&n=200&follow=1&grep=.", "", ""},
		{"GET", "/v1/logs?silo=..%2Fus&grep=(", "", ""},
		{"GET", "/v1/logs", "", ""},
		{"POST", "/v1/replay", "", `{"id":1,"to":"us"}`},
		{"POST", "/v1/replay", "", `{"id":-1}`},
		{"POST", "/v1/up", "Content-Type: application/json", `{"silos":["us"]}`},
		{"POST", "/v1/up", "", `{"monolith":true}`},
		{"POST", "/v1/start", "", `{"silos":[]}`},
		{"POST", "/v1/stop", "", `{"silos":["us","us","control"]}`},
		{"POST", "/v1/restart", "", `{"silos":["nosuch"]}`},
		{"POST", "/v1/restart", "Transfer-Encoding: chunked", "2\r\n{}\r\n0\r\n\r\n"},
		{"POST", "/v1/restart", "Content-Length: 99", "{"},
		{"POST", "/v1/restart", "Expect: 100-continue", `[[[[{"silos":null}]]]]`},
		{"POST", "/v1/down", "", `{"kill":true}`},
		{"POST", "/v1/down", "", `{} {}`},
		{"DELETE", "/v1/../v1/down", "", ""},
		{"OPTIONS", "*", "", ""},
		{"CONNECT", "silo:1", "", ""},
		{"PRI", "*", "X: " + strings.Repeat("x", 2*maxHeader), ""},
		{"GET /v1/snapshot HTTP/1.0\r\n\r\n\x00\xff\x16\x03\x01", "", "", ""},
	} {
		f.Add(seed.method, seed.target, seed.header, []byte(seed.body))
	}
	fuzzed := &stage{home: f.TempDir()}
	f.Cleanup(func() { fuzzed.clear(f) })
	f.Fuzz(func(t *testing.T, method, target, header string, body []byte) {
		fuzzed.set(t)
		fuzzed.exchange(t, rawRequest(method, target, header, body))
		fuzzed.check(t)
	})
}

// rawRequest returns a request as bytes. It is malformed if its parts are.
func rawRequest(method, target, header string, body []byte) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: silo\r\n", method, target)
	if lower := strings.ToLower(header); !strings.Contains(lower, "content-length") && !strings.Contains(lower, "transfer-encoding") && method != http.MethodGet {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(body))
	}
	if header != "" {
		b.WriteString(header + "\r\n")
	}
	b.WriteString("\r\n")
	b.Write(body)
	return b.Bytes()
}

// stage is an instance that runs for many requests. After a shutdown it is replaced.
type stage struct {
	instance
	home   string // a directory from t.TempDir would be removed with each input
	server *Server
	log    *logBuffer
	socket string
}

// limit bounds every operation, generously for a busy machine.
const limit = 20 * time.Second

func (s *stage) set(t testing.TB) {
	t.Helper()
	if s.server != nil {
		return
	}
	home, err := os.MkdirTemp(s.home, "") //nolint:usetesting // t's directory is removed with the input, and the instance stays
	must(t, err)
	s.instance = launch(t, home)
	s.log = &logBuffer{}
	// A second server of the same supervisor, with short timeouts.
	s.server = newServer(s.Supervisor, s.options, s.dir.Logs(), timeouts{read: time.Second, write: time.Second, heartbeat: 20 * time.Millisecond})
	s.server.http.ErrorLog = log.New(s.log, "", 0)
	s.socket = s.dir.Socket + "f"
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "unix", s.socket)
	must(t, err)
	s.server.serve(listener)
}

func (s *stage) clear(t testing.TB) {
	t.Helper()
	if s.server == nil {
		return
	}
	must(t, s.server.Close(context.Background()))
	s.server = nil
	s.end(t)
}

func (s *stage) dial(t testing.TB) *net.UnixConn {
	t.Helper()
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: s.socket, Net: "unix"})
	must(t, err)
	must(t, conn.SetDeadline(time.Now().Add(limit)))
	return conn
}

// exchange sends a request and reads until the server has responded.
func (s *stage) exchange(t testing.TB, raw []byte) {
	t.Helper()
	conn := s.dial(t)
	var sending sync.WaitGroup
	sending.Go(func() {
		_, _ = conn.Write(raw) // the server may disconnect
		_ = conn.CloseWrite()
	})
	defer sending.Wait()
	defer func() { _ = conn.Close() }()
	answers := bufio.NewReader(conn)
	for {
		response, err := http.ReadResponse(answers, nil)
		if err != nil {
			if timedOut(err) {
				t.Fatalf("no answer to %q", raw)
			}
			return // disconnected
		}
		watching := response.Header.Get("Content-Type") == "application/jsonl"
		if watching { // a stream without end
			_, err = response.Body.Read(make([]byte, 1))
			_ = conn.Close()
		} else {
			_, err = io.Copy(io.Discard, response.Body)
		}
		_ = response.Body.Close() // read above
		if timedOut(err) {
			t.Fatalf("half an answer to %q", raw)
		}
		if watching {
			return
		}
	}
}

func timedOut(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// check makes sure that the server still works, or that the instance shuts down.
func (s *stage) check(t testing.TB) {
	t.Helper()
	if text := s.log.String(); strings.Contains(text, "panic") {
		t.Fatal(text)
	}
	conn := s.dial(t)
	defer func() { _ = conn.Close() }()
	_, err := io.WriteString(conn, "GET /v1/snapshot HTTP/1.1\r\nHost: silo\r\nConnection: close\r\n\r\n")
	must(t, err)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	must(t, err)
	defer func() { _ = response.Body.Close() }() // read below
	if body, err := io.ReadAll(response.Body); response.StatusCode != http.StatusOK || err != nil {
		t.Fatalf("a valid request gets %d: %s, %v", response.StatusCode, body, err)
	}
	for end := time.Now().Add(limit); runtime.NumGoroutine() > 100; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("goroutines are left:\n%s", stacks[:runtime.Stack(stacks, true)])
		}
	}
	if s.ending() {
		s.clear(t)
	}
}

// logBuffer keeps the server's log.
type logBuffer struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (s *logBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *logBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}
