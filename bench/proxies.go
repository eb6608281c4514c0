//go:build linux

package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// proxyServer is a running proxy in front of the backend.
type proxyServer struct {
	name string
	url  string // its address
	dir  string
	mark string
	cmd  *exec.Cmd
}

// proxyKind is a proxy that can be started. argv gets the host:port to listen on and the
// backend's, and may write files into dir.
type proxyKind struct {
	name    string
	program string // an installed program; empty: built by this harness
	argv    func(b *bench, dir, at, target string) ([]string, error)
}

// proxyKinds returns the proxies that silo is compared with.
func proxyKinds() []proxyKind {
	ours := func(name, which string) proxyKind {
		return proxyKind{name: name, argv: func(b *bench, _, at, target string) ([]string, error) {
			return []string{b.tools.goproxy, at, target, which}, nil
		}}
	}
	return []proxyKind{
		{"nginx", "nginx", nginx},
		ours("ReverseProxy, tuned", "tuned"),
		{"caddy", "caddy", caddy},
		ours("ReverseProxy, defaults", "plain"),
	}
}

func nginx(_ *bench, dir, at, target string) ([]string, error) {
	text := fmt.Sprintf(`daemon off; worker_processes 2; pid %[1]s/pid; error_log %[1]s/log;
events { worker_connections 1024; }
http {
access_log off; client_max_body_size 0; proxy_buffering off; proxy_request_buffering off;
client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s; uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
upstream backend { server %[3]s; keepalive 64; }
server { listen %[2]s; location / {
proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host;
} } }
`, dir, at, target)
	file := filepath.Join(dir, "nginx.conf")
	return []string{"nginx", "-p", dir, "-c", file}, os.WriteFile(file, []byte(text), 0o600)
}

func caddy(_ *bench, dir, at, target string) ([]string, error) {
	text := fmt.Sprintf("{\n admin off\n auto_https off\n}\nhttp://%s {\n reverse_proxy %s\n}\n", at, target)
	file := filepath.Join(dir, "Caddyfile")
	return []string{"caddy", "run", "--adapter", "caddyfile", "--config", file}, os.WriteFile(file, []byte(text), 0o600)
}

// find returns a program's path. Debian installs nginx outside of a user's PATH.
func find(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		path, err = exec.LookPath("/usr/sbin/" + name)
	}
	return path, err
}

// begin starts a proxy and waits until it listens.
func (b *bench) begin(ctx context.Context, name, at string, argv func(dir string) ([]string, error)) (*proxyServer, error) {
	f := &proxyServer{name: name, url: "http://" + at, mark: "BENCH_RUN=" + rand.Text()}
	var err error
	if f.dir, err = os.MkdirTemp(b.tmp, "front-"); err != nil {
		return nil, err
	}
	if err := os.Chmod(f.dir, 0o755); err != nil { // nginx's workers run as another user
		return nil, err
	}
	words, err := argv(f.dir)
	if err != nil {
		return nil, err
	}
	f.cmd = command(context.WithoutCancel(ctx), words...) // end stops it
	f.cmd.Dir = f.dir
	f.cmd.Env = append(os.Environ(), f.mark, "HOME="+f.dir, "XDG_DATA_HOME="+f.dir, "XDG_CONFIG_HOME="+f.dir, "XDG_RUNTIME_DIR="+f.dir, "SILO_STATE_DIR="+f.dir)
	if err := f.cmd.Start(); err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(waitLimit); ; {
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", at)
		if err == nil {
			return f, conn.Close()
		}
		if time.Now().After(deadline) || !pause(ctx, 10*time.Millisecond) {
			return nil, errors.Join(fmt.Errorf("%s does not listen: %w", name, err), f.end())
		}
	}
}

// end stops a proxy and all processes that it started.
func (f *proxyServer) end() error {
	_ = f.cmd.Process.Signal(syscall.SIGTERM) // it may have exited
	gone := time.AfterFunc(10*time.Second, func() { _ = f.cmd.Process.Kill() })
	_ = f.cmd.Wait() // its exit status does not matter
	gone.Stop()
	for _, pid := range processesOf(f.mark) {
		_ = syscall.Kill(pid, syscall.SIGKILL) // it may have exited
	}
	return os.RemoveAll(f.dir)
}

// startSilo starts a silo binary with the backend as its silos. It returns silo's edge as
// a proxy, and the backend's address.
func (b *bench) startSilo(ctx context.Context, name, binary string) (*proxyServer, string, error) {
	port, err := freePorts(ctx, b, 2)
	if err != nil {
		return nil, "", err
	}
	at := func(n int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(n)) }
	f, err := b.begin(ctx, name, at(port+1), func(dir string) ([]string, error) {
		text := fmt.Sprintf("version = 1\nname = \"bench\"\n[sentry]\ncommand = [%q]\nconfig = \"sentry.conf.py\"\ndialect = \"tuple-id\"\n[control]\nport = %d\n[region.us]\nid = 1\nport = %d\n", b.tools.backend, port, port+1)
		return []string{binary, "-C", dir, "up"}, errors.Join(
			os.WriteFile(filepath.Join(dir, "silo.toml"), []byte(text), 0o600),
			os.WriteFile(filepath.Join(dir, "sentry.conf.py"), nil, 0o600),
		)
	})
	if err != nil {
		return nil, "", err
	}
	status := func() string {
		cmd := command(ctx, binary, "-C", f.dir, "status", "--json")
		cmd.Env = f.cmd.Env
		text, _ := cmd.Output() // exit code 3 means not ready yet
		var s struct {
			State string
			Silos []struct{ URL string }
		}
		if json.Unmarshal(text, &s) != nil || s.State != "ready" {
			return ""
		}
		return s.Silos[1].URL
	}
	for deadline := time.Now().Add(waitLimit); ; {
		if f.url = status(); f.url != "" {
			return f, at(port + 1), nil
		}
		if time.Now().After(deadline) || !pause(ctx, 50*time.Millisecond) {
			return nil, "", errors.Join(errors.New("silo did not become ready"), f.end())
		}
	}
}

// work is the resource use of a proxy so far, without the backend.
type work struct {
	cpu       time.Duration
	rss, peak int64 // bytes
}

func (f *proxyServer) work() (w work, err error) {
	for _, pid := range f.processes() {
		folder := "/proc/" + strconv.Itoa(pid)
		w.cpu += cpuOf(pid)
		rss, err := field(folder+"/status", "VmRSS:")
		if err != nil {
			return w, err
		}
		peak, err := field(folder+"/status", "VmHWM:")
		if err != nil {
			return w, err
		}
		w.rss, w.peak = w.rss+rss*1024, w.peak+peak*1024
	}
	return w, nil
}

// resetPeaks resets VmHWM to the present RSS (man 5 proc, clear_refs).
func (f *proxyServer) resetPeaks() error {
	for _, pid := range f.processes() {
		if err := os.WriteFile("/proc/"+strconv.Itoa(pid)+"/clear_refs", []byte("5"), 0o200); err != nil {
			return err
		}
	}
	return nil
}

// processes returns the processes that forward: the proxy and nginx's workers. silo's
// children are the backend and its guardian, which do not.
func (f *proxyServer) processes() []int {
	if f.cmd == nil {
		return nil
	}
	pids := []int{f.cmd.Process.Pid}
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%[1]d/task/%[1]d/children", pids[0])) // missing: only the first process
	for word := range strings.FieldsSeq(string(text)) {
		name, _ := os.ReadFile("/proc/" + word + "/comm") // empty for one that has exited
		if pid, err := strconv.Atoi(word); err == nil && strings.TrimSpace(string(name)) == "nginx" {
			pids = append(pids, pid)
		}
	}
	return pids
}
