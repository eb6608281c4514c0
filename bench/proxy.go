//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"time"
)

const (
	many      = 64                     // concurrent connections
	hundred   = 100 << 20              // size of a large body
	gibibyte  = 1 << 30                // size of a very large body
	loadFor   = 3 * time.Second        // with many connections
	singleFor = 1 * time.Second        // with one connection
	direct    = "direct"               // the backend without a proxy
	warm      = 300 * time.Millisecond // before the first measurement
)

// proxy measures the overhead of reverse proxies.
func (b *bench) proxy(ctx context.Context) (err error) {
	if _, err := find("wrk"); err != nil {
		return fmt.Errorf("wrk generates the load: %w", err)
	}
	silo, target, err := b.startSilo(ctx, "silo", b.tools.silo)
	if err != nil {
		return err
	}
	servers := []*proxyServer{{name: direct, url: "http://" + target, mark: "\x00"}, silo}
	defer func() {
		for _, f := range servers[1:] {
			err = errors.Join(err, f.end())
		}
	}()
	if b.tools.other != "" {
		other, _, err := b.startSilo(ctx, "other", b.tools.other)
		if err != nil {
			return err
		}
		servers = append(servers, other)
	}
	for _, k := range proxyKinds() {
		program, there := find(k.program)
		if k.program != "" && there != nil {
			fmt.Fprintf(b.out, "%s is not installed and is left out\n", k.program)
			continue
		}
		f, err := b.startProxy(ctx, k, program, target)
		if err != nil {
			return err
		}
		servers = append(servers, f)
	}
	result := &table{samples: map[string][]sample{}}
	for _, f := range servers {
		result.names = append(result.names, f.name)
		if _, err := load64(ctx, f, warm); err != nil {
			return err
		}
	}
	for round := range b.runs {
		for _, i := range b.rng.Perm(len(servers)) {
			fmt.Fprintf(b.progress, "proxy, run %d of %d: %s\n", round+1, b.runs, servers[i].name)
			got, err := servers[i].measure(ctx)
			if err != nil {
				return fmt.Errorf("%s: %w", servers[i].name, err)
			}
			result.add(servers[i].name, got)
		}
	}
	b.printProxies(result)
	return nil
}

// startProxy starts a proxy on a free port. program is the path of an installed one, or
// empty.
func (b *bench) startProxy(ctx context.Context, k proxyKind, program, target string) (*proxyServer, error) {
	port, err := freePorts(ctx, b, 1)
	if err != nil {
		return nil, err
	}
	at := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	return b.begin(ctx, k.name, at, func(dir string) ([]string, error) {
		argv, err := k.argv(b, dir, at, target)
		if program != "" {
			argv[0] = program
		}
		return argv, err
	})
}

func (b *bench) printProxies(t *table) {
	t.print(
		b.out, fmt.Sprintf("### Proxy, %d connections for %v", many, loadFor),
		figure{name: "requests", unit: "/s", ratio: true, peer: "caddy"}, figure{name: "p50", unit: "ms", digits: 2}, figure{name: "p99", unit: "ms", digits: 1},
		figure{name: "CPU", unit: "µs/request", digits: 1}, figure{name: "errors", unit: "total"},
	)
	t.print(
		b.out, fmt.Sprintf("### One connection for %v", singleFor),
		figure{name: "single p50", unit: "µs"}, figure{name: "single p99", unit: "µs"},
	)
	t.print(
		b.out, "### Bodies of 100 MiB, and of 1 GiB each way",
		figure{name: "down", unit: "MB/s", ratio: true}, figure{name: "up", unit: "MB/s", ratio: true},
		figure{name: "RSS", unit: "MB", digits: 1}, figure{name: "peak above RSS with 1 GiB", unit: "MB", digits: 1},
	)
}

// measure runs all loads against one proxy.
func (f *proxyServer) measure(ctx context.Context) (sample, error) {
	before, err := f.work()
	if err != nil {
		return nil, err
	}
	s, err := load64(ctx, f, loadFor)
	if err != nil {
		return nil, err
	}
	after, err := f.work()
	if err != nil {
		return nil, err
	}
	if f.cmd != nil {
		s["CPU"] = float64((after.cpu - before.cpu).Microseconds()) / s["count"]
		s["RSS"] = float64(after.rss) / 1e6
	}
	one, err := wrk(ctx, f, 1, singleFor)
	if err != nil {
		return nil, err
	}
	s["single p50"], s["single p99"] = one["p50"]*1e3, one["p99"]*1e3
	if s["down"], err = f.down(ctx, hundred); err == nil {
		s["up"], err = f.up(ctx, hundred)
	}
	if err != nil || f.cmd == nil {
		return s, err
	}
	return s, f.measurePeak(ctx, s)
}

// measurePeak records the memory above the present RSS while 1 GiB passes each way.
func (f *proxyServer) measurePeak(ctx context.Context, s sample) error {
	if err := f.resetPeaks(); err != nil {
		return err
	}
	before, err := f.work()
	if err != nil {
		return err
	}
	if _, err := f.down(ctx, gibibyte); err != nil {
		return err
	}
	if _, err := f.up(ctx, gibibyte); err != nil {
		return err
	}
	after, err := f.work()
	s["peak above RSS with 1 GiB"] = float64(after.peak-before.rss) / 1e6
	return err
}

func load64(ctx context.Context, f *proxyServer, long time.Duration) (sample, error) {
	return wrk(ctx, f, many, long)
}

var (
	latency = regexp.MustCompile(`(?m)^\s+(50|99)%\s+([\d.]+)(us|ms|s)$`)
	count   = regexp.MustCompile(`(\d+) requests in ([\d.]+)s`)
	wrong   = regexp.MustCompile(`Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)|Non-2xx or 3xx responses: (\d+)`)
)

// wrk runs wrk and parses its report.
func wrk(ctx context.Context, f *proxyServer, connections int, long time.Duration) (sample, error) {
	path, err := find("wrk")
	if err != nil {
		return nil, err
	}
	seconds := max(1, int(long.Seconds()))
	text, err := command(ctx, path, "-t", strconv.Itoa(min(2, connections)), "-c", strconv.Itoa(connections), "-d", fmt.Sprint(seconds, "s"), "--latency", f.url+"/api/0/").Output()
	if err != nil {
		return nil, err
	}
	s := sample{"errors": 0}
	for _, found := range latency.FindAllSubmatch(text, -1) {
		value, err := strconv.ParseFloat(string(found[2]), 64)
		if err != nil {
			return nil, err
		}
		s["p"+string(found[1])] = value * map[string]float64{"us": 1e-3, "ms": 1, "s": 1e3}[string(found[3])]
	}
	total := count.FindSubmatch(text)
	if total == nil {
		return nil, fmt.Errorf("unexpected report of wrk:\n%s", text)
	}
	s["count"], _ = strconv.ParseFloat(string(total[1]), 64) // digits only
	took, err := strconv.ParseFloat(string(total[2]), 64)
	if err != nil || s["count"] == 0 {
		return nil, fmt.Errorf("no responses: %s", text)
	}
	s["requests"] = s["count"] / took
	for _, found := range wrong.FindAllSubmatch(text, -1) {
		for _, number := range found[1:] {
			n, _ := strconv.ParseFloat(string(number), 64) // empty in the other alternative
			s["errors"] += n
		}
	}
	return s, nil
}

// down downloads a body and returns the speed in MB/s.
func (f *proxyServer) down(ctx context.Context, size int64) (float64, error) {
	return f.transfer(ctx, http.MethodGet, "/big?"+strconv.FormatInt(size, 10), nil, size, size)
}

// up uploads a body and returns the speed in MB/s.
func (f *proxyServer) up(ctx context.Context, size int64) (float64, error) {
	return f.transfer(ctx, http.MethodPut, "/", io.LimitReader(zeros{}, size), size, int64(len("ok")))
}

func (f *proxyServer) transfer(ctx context.Context, method, path string, body io.Reader, size, answer int64) (float64, error) {
	request, err := http.NewRequestWithContext(ctx, method, f.url+path, body)
	if err != nil {
		return 0, err
	}
	if body != nil {
		request.ContentLength = size
	}
	transport := &http.Transport{DisableCompression: true, WriteBufferSize: buffer, ReadBufferSize: buffer}
	defer transport.CloseIdleConnections()
	begin := time.Now()
	response, err := transport.RoundTrip(request)
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(discard{}, response.Body)
	took := time.Since(begin)
	_ = response.Body.Close() // read completely
	switch {
	case err != nil:
		return 0, err
	case response.StatusCode != http.StatusOK || n != answer:
		return 0, fmt.Errorf("%s %s: %s, %d bytes", method, path, response.Status, n)
	}
	return float64(size) / 1e6 / took.Seconds(), nil
}

const buffer = 256 << 10

// zeros is an endless reader.
type zeros struct{}

var none = bytes.Repeat([]byte{'x'}, buffer)

func (zeros) Read(p []byte) (int, error) { return copy(p, none), nil }

// discard reads in larger blocks than io.Discard.
type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

func (discard) ReadFrom(r io.Reader) (total int64, err error) {
	block := make([]byte, buffer)
	for {
		n, err := r.Read(block)
		total += int64(n)
		if errors.Is(err, io.EOF) {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}
