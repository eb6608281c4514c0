//go:build linux

package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	tunnelHost   = "bench.example.app"
	tunnelWindow = 3 * time.Second // of requests
	tunnelBody   = 1 << 30         // bytes of a stream
)

// ngrok compares silo's way through the ngrok SDK with the SDK's own forwarder,
// before the same service, with the same client and the same server behind.
func (b *bench) ngrok(ctx context.Context) (err error) {
	program := filepath.Join(b.tmp, "ngrokpart")
	if err := tool(ctx, "go", "build", "-o", program, "silo/bench/ngrokpart"); err != nil {
		return err
	}
	p := &tunnelParts{bench: b, program: program, mark: "BENCH_RUN=" + rand.Text()}
	defer func() { err = errors.Join(err, p.clear()) }()
	service, err := p.start(ctx, b.tmp, program, "service", b.tmp)
	if err != nil {
		return err
	}
	defer service.stop()
	if n, err := fmt.Sscan(service.line, &p.agents, &p.ca, &p.public); n != 3 {
		return fmt.Errorf("the service said %q: %w", service.line, err)
	}
	field := []struct {
		name  string
		begin func(context.Context, string) (*tunnelPart, error)
	}{{"SDK's ListenAndForward", p.forward}, {"silo", p.silo}}
	result := &table{samples: map[string][]sample{}}
	for _, c := range field {
		result.names = append(result.names, c.name)
	}
	for round := range b.runs {
		for _, i := range b.dice.Perm(len(field)) {
			fmt.Fprintf(b.talk, "ngrok, run %d of %d: %s\n", round+1, b.runs, field[i].name)
			got, err := p.turn(ctx, field[i].begin)
			if err != nil {
				return fmt.Errorf("%s: %w", field[i].name, err)
			}
			result.add(field[i].name, got)
		}
	}
	result.print(b.out, fmt.Sprintf("### Through the ngrok SDK, 1 kB for %v", tunnelWindow),
		figure{name: "requests at 1 connection", unit: "/s", ratio: true}, figure{name: "p50 at 1", unit: "ms", digits: 2}, figure{name: "p99 at 1", unit: "ms", digits: 2},
		figure{name: "requests at 64 connections", unit: "/s", ratio: true}, figure{name: "p50 at 64", unit: "ms", digits: 1}, figure{name: "p99 at 64", unit: "ms", digits: 1})
	result.print(b.out, "### Through the ngrok SDK, streams of 1 GiB",
		figure{name: "down", unit: "MB/s", ratio: true}, figure{name: "up", unit: "MB/s", ratio: true}, figure{name: "more than idle", unit: "MB", digits: 1})
	return nil
}

// tunnelParts is the service with what takes turns before it.
type tunnelParts struct {
	*bench
	program            string
	mark               string
	agents, ca, public string
}

// tunnelPart is a process that has said its first line.
type tunnelPart struct {
	cmd  *exec.Cmd
	in   io.Closer
	line string
}

// start starts a process that ends with its standard input.
func (p *tunnelParts) start(ctx context.Context, dir string, argv ...string) (*tunnelPart, error) {
	cmd := command(context.WithoutCancel(ctx), argv...) // stop ends it
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), p.mark, "SILO_STATE_DIR="+filepath.Join(dir, "state"), "XDG_RUNTIME_DIR="+dir)
	talk, err := os.Create(filepath.Join(dir, "stderr"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = talk.Close() }() // the child has its own
	cmd.Stderr = talk
	// A session of its own, as silo gives its silos: where the kernel schedules by
	// session, two programs of one are woken sooner than two of two.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	part := &tunnelPart{cmd: cmd, in: in}
	if part.line, err = bufio.NewReader(out).ReadString('\n'); err != nil {
		text, _ := os.ReadFile(talk.Name()) // without it the error is told all the same
		return nil, fmt.Errorf("%s said nothing: %w; it said: %s", argv[0], err, text)
	}
	go func() { _, _ = io.Copy(io.Discard, out) }() // ends with the process
	return part, nil
}

// stop ends a part in its own way and waits for it.
func (part *tunnelPart) stop() {
	_ = part.in.Close() // it may have gone already
	_ = part.cmd.Process.Signal(syscall.SIGTERM)
	_ = part.cmd.Wait() // how it exits is told by what is left
}

// clear kills what is left, by its mark.
func (p *tunnelParts) clear() error {
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		left := marked(p.mark)
		if len(left) == 0 {
			return nil
		}
		for _, pid := range left {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may be gone by now
		}
		<-time.After(5 * time.Millisecond)
	}
	return errors.New("processes are left")
}

// forward has the SDK forward to a server of its own.
func (p *tunnelParts) forward(ctx context.Context, dir string) (*tunnelPart, error) {
	backend, err := p.start(ctx, dir, p.program, "serve")
	if err != nil {
		return nil, err
	}
	part, err := p.start(ctx, dir, p.program, "forward", p.agents, p.ca, tunnelHost, strings.TrimSpace(backend.line))
	if err != nil {
		backend.stop()
		return nil, err
	}
	part.in = behind{part.in, backend}
	return part, nil
}

// behind is a forwarder's standard input, with the server behind it.
type behind struct {
	io.Closer
	backend *tunnelPart
}

func (b behind) Close() error {
	b.backend.stop()
	return b.Closer.Close()
}

// silo starts the same server itself.
func (p *tunnelParts) silo(ctx context.Context, dir string) (*tunnelPart, error) {
	text := fmt.Sprintf(`version = 1
name = "bench"
[sentry]
command = [%q, "serve"]
config = "sentry.conf.py"
dialect = "tuple-id"
[tunnels]
provider = "ngrok"
domain = %q
[tunnels.ngrok]
authtoken = "any"
server_addr = %q
root_cas = %q
[control]
port = 0
[region.us]
id = 1
port = 0
`, p.program, tunnelHost, p.agents, p.ca)
	err := errors.Join(os.WriteFile(filepath.Join(dir, "silo.toml"), []byte(text), 0o600), os.WriteFile(filepath.Join(dir, "sentry.conf.py"), nil, 0o600))
	if err != nil {
		return nil, err
	}
	return p.start(ctx, dir, p.tools.silo, "--quiet", "up")
}

// released waits until the service has noticed that the domain is nobody's any more:
// the next contender is refused it before.
func (p *tunnelParts) released(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.public, http.NoBody)
	if err != nil {
		return err
	}
	request.Host = tunnelHost
	for deadline := time.Now().Add(patience); ; {
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		_ = answer.Body.Close() // only its status counts
		if answer.StatusCode == http.StatusNotFound {
			return nil
		}
		if time.Now().After(deadline) || !pause(ctx, 5*time.Millisecond) {
			return fmt.Errorf("%s is still somebody's", tunnelHost)
		}
	}
}

// turn is one contender's: requests, then streams.
func (p *tunnelParts) turn(ctx context.Context, begin func(context.Context, string) (*tunnelPart, error)) (s sample, err error) {
	dir, err := os.MkdirTemp(p.tmp, "ngrok-")
	if err != nil {
		return nil, err
	}
	part, err := begin(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer func() {
		part.stop()
		err = errors.Join(err, p.released(ctx), os.RemoveAll(dir))
	}()
	s = sample{}
	client := newTunnelClient(p.public)
	defer client.close()
	for _, connections := range []int{1, 64} {
		if err := client.load(ctx, s, connections, tunnelWindow); err != nil {
			return nil, err
		}
	}
	idle, err := resident(part.cmd.Process.Pid)
	if err != nil {
		return nil, err
	}
	if s["down"], err = client.down(ctx, tunnelBody); err != nil {
		return nil, err
	}
	if s["up"], err = client.up(ctx, tunnelBody); err != nil {
		return nil, err
	}
	peak, err := highWater(part.cmd.Process.Pid)
	s["more than idle"] = float64(peak-idle) / 1e6
	return s, err
}
