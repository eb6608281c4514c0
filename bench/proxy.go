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
	many      = 64                     // connections at once
	hundred   = 100 << 20              // bytes of a large body
	gibibyte  = 1 << 30                // bytes of a very large one
	loadFor   = 3 * time.Second        // with many connections
	singleFor = 1 * time.Second        // with one
	direct    = "direct"               // the backend without anything before it
	warm      = 300 * time.Millisecond // before the first measurement
)

// proxy measures what it costs to pass a program on the way to a server.
func (b *bench) proxy(ctx context.Context) (err error) {
	if _, err := find("wrk"); err != nil {
		return fmt.Errorf("wrk makes the load: %w", err)
	}
	silo, target, err := b.supervised(ctx)
	if err != nil {
		return err
	}
	fronts := []*front{{name: direct, url: "http://" + target, mark: "\x00"}, silo}
	defer func() {
		for _, f := range fronts[1:] {
			err = errors.Join(err, f.end())
		}
	}()
	for _, k := range kinds() {
		program, there := find(k.program)
		if k.program != "" && there != nil {
			fmt.Fprintf(b.out, "left out: there is no %s here\n", k.program)
			continue
		}
		f, err := b.stand(ctx, k, program, target)
		if err != nil {
			return err
		}
		fronts = append(fronts, f)
	}
	result := &table{samples: map[string][]sample{}}
	for _, f := range fronts {
		result.names = append(result.names, f.name)
		if _, err := load64(ctx, f, warm); err != nil {
			return err
		}
	}
	for round := range b.runs {
		for _, i := range b.dice.Perm(len(fronts)) {
			fmt.Fprintf(b.talk, "proxy, run %d of %d: %s\n", round+1, b.runs, fronts[i].name)
			got, err := fronts[i].measure(ctx)
			if err != nil {
				return fmt.Errorf("%s: %w", fronts[i].name, err)
			}
			result.add(fronts[i].name, got)
		}
	}
	b.printProxies(result)
	return nil
}

// stand starts a front on a port of its own. program is the path of one that is
// not built here.
func (b *bench) stand(ctx context.Context, k kind, program, target string) (*front, error) {
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
		b.out, fmt.Sprintf("### A proxy's cost, %d connections for %v", many, loadFor),
		figure{name: "requests", unit: "/s", ratio: true, peer: "caddy"}, figure{name: "p50", unit: "ms", digits: 2}, figure{name: "p99", unit: "ms", digits: 1},
		figure{name: "CPU", unit: "µs/request", digits: 1}, figure{name: "errors", unit: "in all"},
	)
	t.print(
		b.out, fmt.Sprintf("### One connection for %v", singleFor),
		figure{name: "single p50", unit: "µs"}, figure{name: "single p99", unit: "µs"},
	)
	t.print(
		b.out, "### Bodies of 100 MiB, and of 1 GiB each way",
		figure{name: "down", unit: "MB/s", ratio: true}, figure{name: "up", unit: "MB/s", ratio: true},
		figure{name: "RSS", unit: "MB", digits: 1}, figure{name: "peak over that with 1 GiB", unit: "MB", digits: 1},
	)
}

// measure is one turn of one front.
func (f *front) measure(ctx context.Context) (sample, error) {
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
	return s, f.swell(ctx, s)
}

// swell notes how far memory goes beyond what is used now, with 1 GiB each way.
func (f *front) swell(ctx context.Context, s sample) error {
	if err := f.forget(); err != nil {
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
	s["peak over that with 1 GiB"] = float64(after.peak-before.rss) / 1e6
	return err
}

func load64(ctx context.Context, f *front, long time.Duration) (sample, error) {
	return wrk(ctx, f, many, long)
}

var (
	latency = regexp.MustCompile(`(?m)^\s+(50|99)%\s+([\d.]+)(us|ms|s)$`)
	count   = regexp.MustCompile(`(\d+) requests in ([\d.]+)s`)
	wrong   = regexp.MustCompile(`Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)|Non-2xx or 3xx responses: (\d+)`)
)

// wrk makes load and reads what it says of it.
func wrk(ctx context.Context, f *front, connections int, long time.Duration) (sample, error) {
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
		return nil, fmt.Errorf("wrk says\n%s", text)
	}
	s["count"], _ = strconv.ParseFloat(string(total[1]), 64) // digits
	took, err := strconv.ParseFloat(string(total[2]), 64)
	if err != nil || s["count"] == 0 {
		return nil, fmt.Errorf("no request came back: %s", text)
	}
	s["requests"] = s["count"] / took
	for _, found := range wrong.FindAllSubmatch(text, -1) {
		for _, number := range found[1:] {
			n, _ := strconv.ParseFloat(string(number), 64) // empty: the other form
			s["errors"] += n
		}
	}
	return s, nil
}

// down fetches a body and gives its speed in MB/s.
func (f *front) down(ctx context.Context, size int64) (float64, error) {
	return f.carry(ctx, http.MethodGet, "/big?"+strconv.FormatInt(size, 10), nil, size, size)
}

// up sends one.
func (f *front) up(ctx context.Context, size int64) (float64, error) {
	return f.carry(ctx, http.MethodPut, "/", io.LimitReader(zeros{}, size), size, int64(len("ok")))
}

func (f *front) carry(ctx context.Context, method, path string, body io.Reader, size, answer int64) (float64, error) {
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
	_ = response.Body.Close() // read to its end
	switch {
	case err != nil:
		return 0, err
	case response.StatusCode != http.StatusOK || n != answer:
		return 0, fmt.Errorf("%s %s: %s, %d bytes", method, path, response.Status, n)
	}
	return float64(size) / 1e6 / took.Seconds(), nil
}

const buffer = 256 << 10

// zeros is an endless body.
type zeros struct{}

var none = bytes.Repeat([]byte{'x'}, buffer)

func (zeros) Read(p []byte) (int, error) { return copy(p, none), nil }

// discard takes a body in large pieces, which io.Discard does not ask for.
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
