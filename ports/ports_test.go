package ports

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// occupy listens on a free port of an address until the test ends.
func occupy(t testing.TB, network, host string) int {
	t.Helper()
	l, err := net.Listen(network, net.JoinHostPort(host, "0"))
	if err != nil {
		t.Skipf("cannot listen by %s on %s: %v", network, host, err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return portOf(l)
}

// free returns a port that was free a moment ago, and so was the next one.
func free(t testing.TB) int {
	t.Helper()
	r, err := Reserve(context.Background(), []Request{{Name: "x", Span: 2}})
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Close()
	return r.Port("x")
}

func bindable(host string, port int) bool {
	l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err == nil {
		_ = l.Close()
	}
	return err == nil
}

func TestTakenOnAnyAddress(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ network, host string }{
		{"tcp4", "127.0.0.1"}, {"tcp4", "0.0.0.0"}, {"tcp6", "::1"}, {"tcp6", "::"}, {"tcp", ""},
	} {
		t.Run(test.network+" "+test.host, func(t *testing.T) {
			t.Parallel()
			port := occupy(t, test.network, test.host)
			_, err := Reserve(t.Context(), []Request{{Name: "control", Port: port, Fixed: true}})
			var conflicts Conflicts
			if !errors.As(err, &conflicts) || len(conflicts) != 1 || conflicts[0].Port != port || conflicts[0].Name != "control" {
				t.Fatalf("got %v, want one conflict", err)
			}
			holder := conflicts[0].Holder
			if holder == nil || holder.PID != os.Getpid() || !strings.HasPrefix(holder.Program, "ports.test") || !strings.Contains(holder.Args, "ports.test") {
				t.Errorf("holder %+v, want this process", holder)
			}
			if want := fmt.Sprintf("port %d of control is taken by %s (pid %d)", port, holder.Program, os.Getpid()); err.Error() != want {
				t.Errorf("got %q, want %q", err, want)
			}
			r, err := Reserve(t.Context(), []Request{{Name: "control", Port: port}})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = r.Close() }()
			if got := r.Port("control"); got == port || got == 0 {
				t.Errorf("a preference for the taken port %d got %d", port, got)
			}
			if test.host == "::1" && !bindable("127.0.0.1", port) {
				t.Error("the listener on 127.0.0.1 is open although ::1 was taken")
			}
		})
	}
}

func TestConflictsAreAllOrNothing(t *testing.T) {
	t.Parallel()
	one, two := occupy(t, "tcp4", "127.0.0.1"), occupy(t, "tcp4", "127.0.0.1")
	pair, good := free(t), free(t)
	neighbour, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(pair+1)))
	if err != nil {
		t.Skip("lost a race for a port: ", err)
	}
	defer func() { _ = neighbour.Close() }()
	_, err = Reserve(t.Context(), []Request{
		{Name: "a", Port: one, Fixed: true},
		{Name: "good", Port: good, Fixed: true},
		{Name: "b", Port: two, Fixed: true},
		{Name: "same", Port: good, Fixed: true},
		{Name: "pair", Port: pair, Fixed: true, Span: 2},
		{Name: "any"},
	})
	var conflicts Conflicts
	if !errors.As(err, &conflicts) {
		t.Fatal(err)
	}
	var got []string
	for _, c := range conflicts {
		got = append(got, fmt.Sprint(c.Name, " ", c.Port, " ", c.With, " ", c.Holder != nil))
	}
	want := []string{
		fmt.Sprint("a ", one, "  true"), fmt.Sprint("b ", two, "  true"),
		fmt.Sprint("same ", good, " good false"), fmt.Sprint("pair ", pair+1, "  true"),
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, port := range []int{good, pair} {
		if !bindable("127.0.0.1", port) {
			t.Errorf("port %d is still held after the conflict", port)
		}
	}
}

func TestReservedPortsAreHeldOnBothAddresses(t *testing.T) {
	t.Parallel()
	r, err := Reserve(t.Context(), []Request{{Name: "pair", Span: 2}})
	if err != nil {
		t.Fatal(err)
	}
	for _, port := range []int{r.Port("pair"), r.Port("pair") + 1} {
		for _, host := range []string{"127.0.0.1", "::1"} {
			if bindable(host, port) {
				t.Errorf("port %d is free on %s", port, host)
			}
		}
	}
	if _, err := r.Listener("pair"); err == nil {
		t.Error("Listener succeeds for a span of two")
	}
	if err := errors.Join(r.Release("pair"), r.Release("pair"), r.Close(), r.Close()); err != nil {
		t.Error(err)
	}
	// Another process may have taken one by now, but this process must not have it.
	for _, port := range []int{r.Port("pair"), r.Port("pair") + 1} {
		if !bindable("127.0.0.1", port) && slices.ContainsFunc(Holders(port), func(h Holder) bool { return h.PID == os.Getpid() }) {
			t.Errorf("port %d is still held", port)
		}
	}
	if r.Release("unknown") == nil || r.Port("unknown") != 0 {
		t.Error("an unknown name is accepted")
	}
}

func TestListenerIsHandedOver(t *testing.T) {
	t.Parallel()
	r, err := Reserve(t.Context(), []Request{{Name: "edge"}})
	if err != nil {
		t.Fatal(err)
	}
	l, err := r.Listener("edge")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if l.Addr().String() != fmt.Sprint("127.0.0.1:", r.Port("edge")) {
		t.Error(l.Addr())
	}
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	if six, err := net.Dial("tcp6", fmt.Sprintf("[::1]:%d", r.Port("edge"))); err == nil {
		_ = six.Close()
		t.Error("the listener on ::1 is still open")
	}
	if _, err := r.Listener("edge"); err == nil {
		t.Error("Listener succeeds twice")
	}
}

func TestInvalidRequests(t *testing.T) {
	t.Parallel()
	for want, requests := range map[string][]Request{
		`reserve ports: two requests are named "a"`: {{Name: "a"}, {Name: "a"}},
		"reserve ports for a: invalid span 3":       {{Name: "a", Span: 3}},
		"reserve ports for a: invalid port -1":      {{Name: "a", Port: -1}},
		"reserve ports for a: invalid port 65536":   {{Name: "a", Port: 65536}},
		"reserve ports for a: invalid port 65535":   {{Name: "a", Port: 65535, Span: 2}},
		"reserve ports for a: invalid port 0":       {{Name: "a", Fixed: true}},
	} {
		if _, err := Reserve(t.Context(), requests); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Reserve(ctx, []Request{{Name: "a"}}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// Ports are not shared, spans do not overlap, and a request moves in steps of its span.
func TestPlacement(t *testing.T) {
	t.Parallel()
	base := free(t)
	taken := occupy(t, "tcp4", "127.0.0.1")
	rapid.Check(t, func(rt *rapid.T) {
		var requests []Request
		for i := range rapid.IntRange(0, 8).Draw(rt, "requests") {
			port := rapid.SampledFrom([]int{0, base, base + 1, base + 2, base + 3, taken, taken - 1, maxPort}).Draw(rt, "port")
			span := rapid.IntRange(1, 2).Draw(rt, "span")
			requests = append(requests, Request{Name: fmt.Sprint(i), Port: min(port, maxPort+1-span), Span: span})
		}
		r, err := Reserve(context.Background(), requests)
		if err != nil {
			rt.Fatal(err)
		}
		seen := map[int]string{}
		for _, w := range requests {
			for port := r.Port(w.Name); port < r.Port(w.Name)+w.Span; port++ {
				if other, shared := seen[port]; shared || port < 1 || port > maxPort || port == taken {
					rt.Errorf("%v: port %d, which is invalid, taken or that of %q", w, port, other)
				}
				seen[port] = w.Name
			}
			if got := r.Port(w.Name); got > w.Port && got < w.Port+maxSteps && (got-w.Port)%w.Span != 0 {
				rt.Errorf("%v got %d, want a step of its span", w, got)
			}
		}
		if err := r.Close(); err != nil {
			rt.Error(err)
		}
	})
}

// Other processes may take or free a port in the meantime, but not in every round.
func TestPlacementIsDeterministic(t *testing.T) {
	t.Parallel()
	base := free(t)
	var requests []Request
	for i, port := range []int{base, base + 1, base, base + 3, base, base + 1} {
		requests = append(requests, Request{Name: fmt.Sprint(i), Port: port, Span: 1 + i%2})
	}
	place := func() (got []int) {
		r, err := Reserve(t.Context(), requests)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range requests {
			got = append(got, r.Port(w.Name))
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		return got
	}
	var first, again []int
	for range 10 {
		if first, again = place(), place(); slices.Equal(first, again) {
			return
		}
	}
	t.Errorf("ten times the second call differed; last %v, then %v", first, again)
}

func TestMovedRequestDoesNotTakePreferences(t *testing.T) {
	t.Parallel()
	base := free(t)
	l, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(base)))
	if err != nil {
		t.Skip("lost a race for a port: ", err)
	}
	defer func() { _ = l.Close() }()
	r, err := Reserve(t.Context(), []Request{{Name: "moved", Port: base}, {Name: "kept", Port: base + 1}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	if r.Port("kept") != base+1 || r.Port("moved") < base+2 {
		t.Errorf("moved got %d, kept %d; both from %d", r.Port("moved"), r.Port("kept"), base)
	}
}

func TestConcurrentReservations(t *testing.T) {
	t.Parallel()
	base := free(t)
	var mu sync.Mutex // guards seen
	seen := map[int]int{}
	var all []*Reservation
	var workers sync.WaitGroup
	for worker := range 8 {
		workers.Go(func() {
			var requests []Request
			for i := range 20 {
				requests = append(requests, Request{Name: fmt.Sprint(i), Port: base + i})
			}
			r, err := Reserve(context.Background(), requests)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
				return
			}
			all = append(all, r)
			for _, w := range requests {
				if other, shared := seen[r.Port(w.Name)]; shared {
					t.Errorf("workers %[2]d and %[3]d both got port %[1]d", r.Port(w.Name), other, worker)
				}
				seen[r.Port(w.Name)] = worker
			}
		})
	}
	workers.Wait()
	for _, r := range all {
		_ = r.Close()
	}
}

func TestHolders(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	tcp, ok := l.(*net.TCPListener)
	if !ok {
		t.Fatal("not a TCP listener")
	}
	file, err := tcp.File()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	child := exec.Command("sleep", "60") // inherits the listener, like a server's worker
	child.ExtraFiles = []*os.File{file}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = child.Wait() }()
	defer func() { _ = child.Process.Kill() }()
	var got []int
	for _, h := range Holders(portOf(l)) {
		got = append(got, h.PID)
	}
	both := []int{os.Getpid(), child.Process.Pid}
	slices.Sort(both)
	if !slices.Equal(got, both) {
		t.Errorf("got %v, want %v", got, both)
	}
	for _, pid := range both {
		if !Listens(portOf(l), pid) {
			t.Errorf("Listens is false for process %d", pid)
		}
	}
	for _, pid := range []int{os.Getppid(), 1 << 22} {
		if Listens(portOf(l), pid) {
			t.Errorf("Listens is true for process %d", pid)
		}
	}
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	local, ok := conn.LocalAddr().(*net.TCPAddr)
	if !ok {
		t.Fatal("not a TCP address")
	}
	if got := Holders(local.Port); got != nil || Listens(local.Port, os.Getpid()) {
		t.Errorf("a connection counts as a listener: %v", got)
	}
}

func TestTruncate(t *testing.T) {
	t.Parallel()
	full := strings.Repeat("x", maxArgs)
	if got := truncate(full); got != full {
		t.Errorf("truncate changes %d bytes: %q", maxArgs, got)
	}
	if got := truncate(full + "y"); got != full+"…" {
		t.Errorf("truncate = %q, want %d bytes and an ellipsis", got, maxArgs)
	}
}

func TestManyRequests(t *testing.T) {
	t.Parallel()
	var requests []Request
	base := free(t)
	for i := range 200 {
		requests = append(requests, Request{Name: fmt.Sprint(i), Port: min(base+2*i, maxPort-1), Span: 1 + i%2})
	}
	r, err := Reserve(t.Context(), requests)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	given := map[int]string{}
	for _, want := range requests {
		for port := r.Port(want.Name); port < r.Port(want.Name)+want.Span; port++ {
			if other, twice := given[port]; twice {
				t.Errorf("port %d went to %s and %s", port, other, want.Name)
			}
			given[port] = want.Name
		}
	}
}

func BenchmarkReserve200(b *testing.B) {
	var requests []Request
	base := free(b)
	for i := range 200 {
		requests = append(requests, Request{Name: fmt.Sprint(i), Port: min(base+i, maxPort)})
	}
	for b.Loop() {
		r, err := Reserve(b.Context(), requests)
		if err != nil {
			b.Fatal(err)
		}
		_ = r.Close()
	}
}

func BenchmarkListens(b *testing.B) {
	port := occupy(b, "tcp4", "127.0.0.1")
	for b.Loop() {
		if !Listens(port, os.Getpid()) {
			b.Fatal("not found")
		}
	}
}

func BenchmarkHolders(b *testing.B) {
	port := occupy(b, "tcp4", "127.0.0.1")
	for b.Loop() {
		if len(Holders(port)) != 1 {
			b.Fatal("not found")
		}
	}
}

func TestListenersOfBothAddressesAreHandedOver(t *testing.T) {
	t.Parallel()
	r, err := Reserve(t.Context(), []Request{{Name: "front"}, {Name: "pair", Span: 2}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	listeners, err := r.Listeners("front")
	if err != nil {
		t.Fatal(err)
	}
	for i, listener := range listeners {
		host := []string{"127.0.0.1", "::1"}[i]
		if got := listener.Addr().String(); got != net.JoinHostPort(host, strconv.Itoa(r.Port("front"))) {
			t.Errorf("listener %d is on %s", i, got)
		}
		_ = listener.Close()
	}
	for _, name := range []string{"front", "pair", "unknown"} {
		if _, err := r.Listeners(name); err == nil {
			t.Errorf("Listeners succeeds for %s", name)
		}
	}
}

// An outgoing connection could take an ephemeral port before a devserver listens.
func TestAnyPortIsNotEphemeral(t *testing.T) {
	t.Parallel()
	var requests []Request
	for i := range 50 {
		requests = append(requests, Request{Name: fmt.Sprint(i), Span: 1 + i%2})
	}
	r, err := Reserve(t.Context(), requests)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	for _, want := range requests {
		if port := r.Port(want.Name); port < anyFirst || port > anyFirst+anyCount {
			t.Errorf("%s got %d, want one of %d ports from %d", want.Name, port, anyCount, anyFirst)
		}
	}
}

func TestAssign(t *testing.T) {
	t.Parallel()
	got, err := Assign(t.Context(), []Request{
		{Name: "climbs", Port: 8000, Span: 2},
		{Name: "keeps", Port: 8002, Span: 2},
		{Name: "fixed", Port: 8001, Fixed: true, Span: 1},
		{Name: "any", Span: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got["any"] == 0 {
		t.Error("no port for any")
	}
	delete(got, "any")
	if diff := cmp.Diff(map[string]int{"climbs": 8004, "keeps": 8002, "fixed": 8001}, got); diff != "" {
		t.Errorf("ports (-want +got):\n%s", diff)
	}
}
