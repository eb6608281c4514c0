//go:build linux

package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	tunnelWindow = time.Second // of requests
	tunnelBody   = 128 << 20   // bytes of a stream that is timed
	tunnelLong   = 1 << 30     // bytes of one that memory is looked at with
)

// ngrok compares silo's way through the ngrok SDK with the SDK's own forwarder,
// before the same service, with the same client and the same server behind. All
// stand at once and take turns within a second or two, figure by figure: what the
// machine does besides lasts longer than that, and hits all alike.
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
	field, err := p.field(ctx)
	defer func() {
		for _, part := range field {
			part.stop()
		}
	}()
	if err != nil {
		return err
	}
	result := &table{samples: map[string][]sample{}}
	for _, part := range field {
		result.names = append(result.names, part.name)
	}
	for round := range b.runs {
		fmt.Fprintf(b.talk, "ngrok, run %d of %d\n", round+1, b.runs)
		samples := make([]sample, len(field))
		figures := []func(context.Context, *tunnelPart, sample) error{requestsAt(1), requestsAt(64), down, up}
		if round == b.runs-1 { // it takes longer than all others together
			figures = append(figures, memory)
		}
		for _, measure := range figures {
			for _, i := range b.dice.Perm(len(field)) {
				if samples[i] == nil {
					samples[i] = sample{}
				}
				if err := measure(ctx, field[i], samples[i]); err != nil {
					return fmt.Errorf("%s: %w", field[i].name, err)
				}
			}
		}
		for i, part := range field {
			result.add(part.name, samples[i])
		}
	}
	b.printTunnels(result)
	return nil
}

func (b *bench) printTunnels(t *table) {
	for _, connections := range []string{"1", "64"} {
		t.print(b.out, fmt.Sprintf("### Through the ngrok SDK, 1 kB for %v, connections: %s", tunnelWindow, connections),
			figure{name: "requests at " + connections, unit: "/s", ratio: true},
			figure{name: "p50 at " + connections, unit: "ms", digits: 2}, figure{name: "p99 at " + connections, unit: "ms", digits: 2},
			figure{name: "CPU at " + connections, unit: "µs/request", digits: 1, ratio: true})
	}
	t.print(b.out, "### Through the ngrok SDK, streams of 128 MiB, and of 1 GiB each way",
		figure{name: "down", unit: "MB/s", ratio: true}, figure{name: "up", unit: "MB/s", ratio: true}, figure{name: "beyond idle with 1 GiB", unit: "MB", digits: 1})
}

// tunnelParts is the service with what takes turns before it.
type tunnelParts struct {
	*bench
	program            string
	mark               string
	agents, ca, public string
}

// tunnelPart is a process that has said its first line; with a host, one that has
// a tunnel for it.
type tunnelPart struct {
	name   string
	cmd    *exec.Cmd
	in     io.Closer
	line   string
	client *tunnelClient
}

// field starts all that take part, the SDK's own forwarder first. What has started
// is returned with an error too.
func (p *tunnelParts) field(ctx context.Context) (parts []*tunnelPart, err error) {
	begin := func(name string, start func(dir, host string) (*tunnelPart, error)) error {
		dir, err := os.MkdirTemp(p.tmp, "ngrok-")
		if err != nil {
			return err
		}
		host := fmt.Sprintf("bench-%d.example.app", len(parts))
		part, err := start(dir, host)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		part.name, part.client = name, newTunnelClient(p.public, host)
		parts = append(parts, part)
		return nil
	}
	silo := func(binary string) func(dir, host string) (*tunnelPart, error) {
		return func(dir, host string) (*tunnelPart, error) { return p.silo(ctx, binary, dir, host) }
	}
	err = begin("SDK's ListenAndForward", func(dir, host string) (*tunnelPart, error) { return p.forward(ctx, dir, host) })
	if err == nil {
		err = begin("silo", silo(p.tools.silo))
	}
	if err == nil && p.other != "" {
		err = begin("the other silo", silo(p.other))
	}
	return parts, err
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
	if part.client != nil {
		part.client.close()
	}
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
func (p *tunnelParts) forward(ctx context.Context, dir, host string) (*tunnelPart, error) {
	backend, err := p.start(ctx, dir, p.program, "serve")
	if err != nil {
		return nil, err
	}
	part, err := p.start(ctx, dir, p.program, "forward", p.agents, p.ca, host, strings.TrimSpace(backend.line))
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
func (p *tunnelParts) silo(ctx context.Context, binary, dir, host string) (*tunnelPart, error) {
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
`, p.program, host, p.agents, p.ca)
	err := errors.Join(os.WriteFile(filepath.Join(dir, "silo.toml"), []byte(text), 0o600), os.WriteFile(filepath.Join(dir, "sentry.conf.py"), nil, 0o600))
	if err != nil {
		return nil, err
	}
	return p.start(ctx, dir, binary, "--quiet", "up")
}

// requestsAt asks on so many connections at once, and notes what of the tunnel's own
// processor time that took.
func requestsAt(connections int) func(context.Context, *tunnelPart, sample) error {
	return func(ctx context.Context, part *tunnelPart, s sample) error {
		before := cpuOf(part.cmd.Process.Pid)
		n, err := part.client.load(ctx, s, connections, tunnelWindow)
		if err != nil {
			return err
		}
		s[fmt.Sprint("CPU at ", connections)] = float64((cpuOf(part.cmd.Process.Pid) - before).Microseconds()) / float64(n)
		return nil
	}
}

func down(ctx context.Context, part *tunnelPart, s sample) (err error) {
	s["down"], err = part.client.down(ctx, tunnelBody)
	return err
}

func up(ctx context.Context, part *tunnelPart, s sample) (err error) {
	s["up"], err = part.client.up(ctx, tunnelBody)
	return err
}

// memory notes how far a tunnel goes beyond what it has now, with 1 GiB each way.
func memory(ctx context.Context, part *tunnelPart, s sample) error {
	folder := filepath.Join("/proc", strconv.Itoa(part.cmd.Process.Pid))
	// Linux, proc_pid_clear_refs(5): 5 sets the highest back to what is used now.
	if err := os.WriteFile(filepath.Join(folder, "clear_refs"), []byte("5"), 0o600); err != nil {
		return err
	}
	idle, err := field(filepath.Join(folder, "status"), "VmRSS:")
	if err != nil {
		return err
	}
	if _, err := part.client.down(ctx, tunnelLong); err != nil {
		return err
	}
	if _, err := part.client.up(ctx, tunnelLong); err != nil {
		return err
	}
	peak, err := field(filepath.Join(folder, "status"), "VmHWM:")
	s["beyond idle with 1 GiB"] = float64(peak-idle) * 1024 / 1e6
	return err
}
