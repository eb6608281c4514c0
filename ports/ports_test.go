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

	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// occupy listens on a free port of an address until the test is over.
func occupy(t testing.TB, network, host string) int {
	t.Helper()
	l, err := net.Listen(network, net.JoinHostPort(host, "0"))
	if err != nil {
		t.Skipf("no %s on %s here: %v", network, host, err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return portOf(l)
}

// free is a port that was free a moment ago, with its neighbour.
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
				t.Fatalf("got %v", err)
			}
			holder := conflicts[0].Holder
			if holder == nil || holder.PID != os.Getpid() || !strings.HasPrefix(holder.Program, "ports.test") || !strings.Contains(holder.Args, "ports.test") {
				t.Errorf("holder: %+v", holder)
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
				t.Errorf("not fixed: got %d for %d", got, port)
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
	if !bindable("127.0.0.1", good) {
		t.Error("a port is still held after a refusal")
	}
}

func TestReservedPortsAreHeldOnBothFamilies(t *testing.T) {
	t.Parallel()
	r, err := Reserve(t.Context(), []Request{{Name: "pair", Span: 2}})
	if err != nil {
		t.Fatal(err)
	}
	for _, port := range []int{r.Port("pair"), r.Port("pair") + 1} {
		for _, host := range []string{"127.0.0.1", "::1"} {
			if bindable(host, port) {
				t.Errorf("%s %d is free", host, port)
			}
		}
	}
	if _, err := r.Listener("pair"); err == nil {
		t.Error("two ports handed over as one")
	}
	if err := errors.Join(r.Release("pair"), r.Release("pair"), r.Close(), r.Close()); err != nil {
		t.Error(err)
	}
	// Somebody else on the machine may have one by now, but not silo.
	for _, port := range []int{r.Port("pair"), r.Port("pair") + 1} {
		if !bindable("127.0.0.1", port) && slices.ContainsFunc(Holders(port), func(h Holder) bool { return h.PID == os.Getpid() }) {
			t.Errorf("port %d is held on", port)
		}
	}
	if r.Release("nobody") == nil || r.Port("nobody") != 0 {
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
		t.Error("::1 is still held")
	}
	if _, err := r.Listener("edge"); err == nil {
		t.Error("handed over twice")
	}
}

func TestRefusedWants(t *testing.T) {
	t.Parallel()
	for want, wants := range map[string][]Request{
		`reserve ports: two wants are called "a"`:  {{Name: "a"}, {Name: "a"}},
		"reserve ports for a: a span of 3":         {{Name: "a", Span: 3}},
		"reserve ports for a: no such port: -1":    {{Name: "a", Port: -1}},
		"reserve ports for a: no such port: 65536": {{Name: "a", Port: 65536}},
		"reserve ports for a: no such port: 65535": {{Name: "a", Port: 65535, Span: 2}},
		"reserve ports for a: no such port: 0":     {{Name: "a", Fixed: true}},
	} {
		if _, err := Reserve(t.Context(), wants); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Reserve(ctx, []Request{{Name: "a"}}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// Nobody shares a port, spans do not overlap, a free preference is kept, and the
// same wants on the same machine get the same ports.
func TestPlacement(t *testing.T) {
	t.Parallel()
	base := free(t)
	taken := occupy(t, "tcp4", "127.0.0.1")
	rapid.Check(t, func(rt *rapid.T) {
		var wants []Request
		for i := range rapid.IntRange(0, 8).Draw(rt, "wants") {
			port := rapid.SampledFrom([]int{0, base, base + 1, base + 2, base + 3, taken, taken - 1, last}).Draw(rt, "port")
			span := rapid.IntRange(1, 2).Draw(rt, "span")
			wants = append(wants, Request{Name: fmt.Sprint(i), Port: min(port, last+1-span), Span: span})
		}
		r, err := Reserve(context.Background(), wants)
		if err != nil {
			rt.Fatal(err)
		}
		seen := map[int]string{}
		for _, w := range wants {
			for port := r.Port(w.Name); port < r.Port(w.Name)+w.Span; port++ {
				if other, shared := seen[port]; shared || port < 1 || port > last || port == taken {
					rt.Errorf("%v: port %d, also of %q", w, port, other)
				}
				seen[port] = w.Name
			}
			if got := r.Port(w.Name); got > w.Port && got < w.Port+climb && (got-w.Port)%w.Span != 0 {
				rt.Errorf("%v got %d, not in steps of its span", w, got)
			}
		}
		if err := r.Close(); err != nil {
			rt.Error(err)
		}
	})
}

// The same wants get the same ports again, as long as nobody else on the machine
// takes or frees one meanwhile: that may happen to a round, and not to all.
func TestPlacementIsTheSameAgain(t *testing.T) {
	t.Parallel()
	base := free(t)
	var wants []Request
	for i, port := range []int{base, base + 1, base, base + 3, base, base + 1} {
		wants = append(wants, Request{Name: fmt.Sprint(i), Port: port, Span: 1 + i%2})
	}
	place := func() (got []int) {
		r, err := Reserve(t.Context(), wants)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range wants {
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
	t.Errorf("got %v, then %v", first, again)
}

// A want that has to move leaves alone what others prefer.
func TestMovingLeavesPreferencesAlone(t *testing.T) {
	t.Parallel()
	base := free(t)
	l, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(base)))
	if err != nil {
		t.Skip("lost a race for a port: ", err)
	}
	defer func() { _ = l.Close() }()
	r, err := Reserve(t.Context(), []Request{{Name: "moves", Port: base}, {Name: "stays", Port: base + 1}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	if r.Port("stays") != base+1 || r.Port("moves") < base+2 {
		t.Errorf("moves got %d, stays %d, of %d", r.Port("moves"), r.Port("stays"), base)
	}
}

func TestRaces(t *testing.T) {
	t.Parallel()
	base := free(t)
	var mu sync.Mutex // guards seen
	seen := map[int]int{}
	var all []*Reservation
	var racers sync.WaitGroup
	for racer := range 8 {
		racers.Go(func() {
			var wants []Request
			for i := range 20 {
				wants = append(wants, Request{Name: fmt.Sprint(i), Port: base + i})
			}
			r, err := Reserve(context.Background(), wants)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
				return
			}
			all = append(all, r)
			for _, w := range wants {
				if other, shared := seen[r.Port(w.Name)]; shared {
					t.Errorf("port %d went to %d and %d", r.Port(w.Name), other, racer)
				}
				seen[r.Port(w.Name)] = racer
			}
		})
	}
	racers.Wait()
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
		t.Fatal("no TCP listener")
	}
	file, err := tcp.File()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	child := exec.Command("sleep", "60") // inherits the listener, as a server's worker does
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
			t.Errorf("%d listens", pid)
		}
	}
	for _, pid := range []int{os.Getppid(), 1 << 22} {
		if Listens(portOf(l), pid) {
			t.Errorf("%d does not listen", pid)
		}
	}
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	local, ok := conn.LocalAddr().(*net.TCPAddr)
	if !ok {
		t.Fatal("no TCP address")
	}
	if got := Holders(local.Port); got != nil || Listens(local.Port, os.Getpid()) {
		t.Errorf("a connection is taken for a listener: %v", got)
	}
}

func TestManyWants(t *testing.T) {
	t.Parallel()
	var wants []Request
	base := free(t)
	for i := range 200 {
		wants = append(wants, Request{Name: fmt.Sprint(i), Port: min(base+2*i, last-1), Span: 1 + i%2})
	}
	r, err := Reserve(t.Context(), wants)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	given := map[int]string{}
	for _, want := range wants {
		for port := r.Port(want.Name); port < r.Port(want.Name)+want.Span; port++ {
			if other, twice := given[port]; twice {
				t.Errorf("%d is given to %s and to %s", port, other, want.Name)
			}
			given[port] = want.Name
		}
	}
}

func BenchmarkReserve200(b *testing.B) {
	var wants []Request
	base := free(b)
	for i := range 200 {
		wants = append(wants, Request{Name: fmt.Sprint(i), Port: min(base+i, last)})
	}
	for b.Loop() {
		r, err := Reserve(b.Context(), wants)
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

func TestListenersOfBothFamiliesAreHandedOver(t *testing.T) {
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
			t.Errorf("listens on %s", got)
		}
		_ = listener.Close()
	}
	for _, name := range []string{"front", "pair", "nobody"} {
		if _, err := r.Listeners(name); err == nil {
			t.Errorf("%s is handed over", name)
		}
	}
}

// A port of the range that outgoing connections are given may be gone by the time
// that a devserver listens.
func TestAnyPortIsNoneThatConnectionsTake(t *testing.T) {
	t.Parallel()
	var wants []Request
	for i := range 50 {
		wants = append(wants, Request{Name: fmt.Sprint(i), Span: 1 + i%2})
	}
	r, err := Reserve(t.Context(), wants)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	for _, want := range wants {
		if port := r.Port(want.Name); port < quietFirst || port > quietFirst+quietSpan {
			t.Errorf("%s is given %d", want.Name, port)
		}
	}
}
