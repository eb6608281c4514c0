//go:build realsentry

package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"silo/ports"
	"silo/state"
)

// realWebpackConf makes devserver start realWebpack, a file next to sentry.conf.py, instead
// of webpack. It gets its port and the backend's from the environment
// (sentry/runner/commands/devserver.py), answers /_static/dist/sentry/ itself, and forwards
// everything else, like webpack.
const (
	realWebpackConf = `
SENTRY_WATCHERS = (("webpack", [sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), "silo_webpack.py")]),)
`
	realWebpack = `from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from os import environ


class Webpack(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path.startswith("/_static/dist/sentry/"):
            return self.answer(200, [], b"webpack")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        backend = HTTPConnection("127.0.0.1", int(environ["SENTRY_BACKEND_PORT"]), timeout=60)
        try:
            backend.request(self.command, self.path, body, {**self.headers, "Connection": "close"})
            got = backend.getresponse()
            self.answer(got.status, got.getheaders(), got.read())
        except (OSError, HTTPException) as e:
            self.answer(504, [], repr(e).encode())
        finally:
            backend.close()

    do_HEAD = do_OPTIONS = do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

    def answer(self, status, headers, body):
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in ("connection", "content-length", "transfer-encoding"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body if self.command != "HEAD" else b"")


address = environ["SENTRY_WEBPACK_PROXY_HOST"], int(environ["SENTRY_WEBPACK_PROXY_PORT"])
ThreadingHTTPServer(address, Webpack).serve_forever()
`
)

// watch makes devserver run a watcher, so that each silo needs two ports.
func (e *engineer) watch() {
	e.Helper()
	e.original = append(e.original, realWebpackConf...)
	for name, text := range map[string][]byte{"sentry.conf.py": e.original, "silo_webpack.py": []byte(realWebpack)} {
		if err := os.WriteFile(filepath.Join(e.dir, "conf", name), text, 0o600); err != nil {
			e.Fatal(err)
		}
	}
}

// pairs runs the usual commands with watchers.
func (e *engineer) pairs() {
	s := e.up()
	e.holdsConfig()
	for _, silo := range s.Silos {
		e.pair(silo)
		e.loads(s, silo.Name, silo.URL)
	}
	e.run(0, "restart", "us-west")
	before, after := s.Silos[1], e.settled().Silos[1]
	if after.Port != before.Port || after.HealthPort != before.HealthPort || after.URL != before.URL || *after.PID == *before.PID {
		e.Errorf("restart changed %+v to %+v", before, after)
	}
	e.pair(after)
	e.down()
}

// pair checks that a silo's watcher listens on its port and its backend on the next one,
// that both belong to its process tree, and that it answers on both and at its address.
func (e *engineer) pair(s state.Silo) {
	e.Helper()
	port, backend := "http://"+s.Bind, "http://"+backendOf(s)
	if s.HealthPort != s.Port+1 || !strings.HasSuffix(s.Bind, fmt.Sprint(":", s.Port)) {
		e.Errorf("%s has ports %d and %d but is bound to %s", s.Name, s.Port, s.HealthPort, s.Bind)
	}
	e.answers(s, s.URL, port, backend)
	for base, want := range map[string]int{s.URL: 200, port: 200, backend: 404} {
		if code := e.get(base + "/_static/dist/sentry/silo"); code != want {
			e.Errorf("%s: webpack's path returns %d at %s, want %d", s.Name, code, base, want)
		}
	}
	tree := e.tree(*s.PID)
	for at, watches := range map[int]bool{s.Port: true, s.HealthPort: false} {
		holders := ports.Holders(at)
		if len(holders) == 0 {
			e.Errorf("%s: no listener on %d", s.Name, at)
		}
		for _, holder := range holders {
			own := slices.ContainsFunc(tree, func(p process) bool { return p.pid == strconv.Itoa(holder.PID) })
			if !own || strings.Contains(holder.Args, "silo_webpack.py") != watches {
				e.Errorf("%s: holder of port %d is %+v, own %t", s.Name, at, holder, own)
			}
		}
	}
}

// backendOf returns the address of a silo's backend, which is on the next port if there
// are watchers.
func backendOf(s state.Silo) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.HealthPort))
}
