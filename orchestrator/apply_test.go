package orchestrator

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"silo/plan"
	"silo/ports"
	"silo/proc"
	"silo/state"
	"silo/wait/waittest"
)

// region returns the table of another region.
func region(name string, id, port int) string {
	return fmt.Sprintf("[region.%s]\nid = %d\nport = %d\nenv = { %s = \"plain\" }\n", name, id, port, standInEnv)
}

// freePort returns a port without a listener.
func freePort(t *testing.T) int {
	t.Helper()
	reserved, err := ports.Reserve(t.Context(), []ports.Request{{Name: "free"}})
	must(t, err)
	must(t, reserved.Close())
	return reserved.Port("free")
}

// usPort returns the topology's text with a fixed port for us.
func (f *fixture) usPort(port int) string {
	return strings.Replace(f.text, "id = 1\nport = 0", fmt.Sprintf("id = 1\nport = %d", port), 1)
}

// eu returns the second region.
func (f *fixture) eu() state.Silo {
	for _, s := range f.Snapshot().Silos {
		if s.Name == "eu" {
			return s
		}
	}
	return state.Silo{}
}

func portOf(t *testing.T, listener net.Listener) int {
	t.Helper()
	at, ok := listener.Addr().(*net.TCPAddr)
	if !ok {
		t.Fatalf("listener on %v", listener.Addr())
	}
	return at.Port
}

func TestApplyAddsAndRemovesSilos(t *testing.T) {
	t.Parallel()
	b := start(t, "plain", "")
	must(t, b.Await(t.Context()))
	before := b.us()
	changes, err := b.Apply(t.Context(), b.plan(region("eu", 2, 0)))
	must(t, err)
	must(t, b.Await(t.Context()))
	if eu := b.eu(); len(changes.Added) != 1 || eu.State != state.Ready || *b.us().PID != *before.PID {
		t.Errorf("added %v: eu is %+v, us was %+v", changes.Added, eu, before)
	}
	if !strings.Contains(b.Block().Text(), b.eu().URL) {
		t.Errorf("the region config does not have eu: %s", b.Block().Text())
	}
	pid, started := *b.eu().PID, *b.eu().ProcessTime
	changes, err = b.Apply(t.Context(), b.plan(""))
	must(t, err)
	if len(changes.Removed) != 1 || len(b.Snapshot().Silos) != 2 || proc.Alive(pid, started) {
		t.Errorf("removed %v, left %+v", changes.Removed, b.Snapshot().Silos)
	}
}

// A removed region that is just being launched has ended before Apply returns.
func TestApplyWaitsForLaunch(t *testing.T) {
	t.Parallel()
	b := start(t, "plain", "")
	must(t, b.Await(t.Context()))
	launching, resume := make(chan struct{}, 1), make(chan struct{})
	block := func() { launching <- struct{}{}; <-resume }
	b.before.Store(&block)
	_, err := b.Apply(t.Context(), b.plan(region("eu", 2, 0)))
	must(t, err)
	waittest.Receive(t, launching, "launch of eu")
	b.before.Store(nil)
	applied := make(chan error, 1)
	go func() { _, err := b.Apply(t.Context(), b.plan("")); applied <- err }()
	b.until(t, "stopping", func() bool { return b.eu().State == state.Stopping })
	select {
	case err := <-applied:
		t.Errorf("Apply returned during the launch: %v", err)
	default:
	}
	close(resume)
	must(t, waittest.Receive(t, applied, "end of Apply"))
}

func TestApplyGivesPortToAnotherSilo(t *testing.T) {
	t.Parallel()
	b := start(t, "plain", "")
	must(t, b.Await(t.Context()))
	before, free := b.us(), freePort(t)
	changes, err := b.Apply(t.Context(), b.parse(b.usPort(free)+region("eu", 2, before.Port)))
	must(t, err)
	must(t, b.Up()) // like `silo up`: us was stopped first
	must(t, b.Await(t.Context()))
	us, eu := b.us(), b.eu()
	if us.Port != free || eu.Port != before.Port || us.URL != before.URL || us.State != state.Ready || eu.State != state.Ready {
		t.Errorf("us %+v, eu %+v", us, eu)
	}
	if strings.Join(changes.StopFirst, " ") != "us" || strings.Join(changes.Restarted, " ") != "us" {
		t.Errorf("got %+v", changes)
	}
	if got := b.dir.Ports(); got["us"] != free || got["eu"] != before.Port {
		t.Errorf("saved ports: %v", got)
	}
}

func TestFailedApplyChangesNothing(t *testing.T) {
	t.Parallel()
	b := start(t, "plain", "")
	must(t, b.Await(t.Context()))
	before, free := b.us(), freePort(t)
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	must(t, err)
	defer func() { _ = taken.Close() }()
	config, err := os.ReadFile(b.config)
	must(t, err)
	text := b.usPort(free) + region("eu", 2, before.Port) + region("de", 3, portOf(t, taken))
	if _, err = b.Apply(t.Context(), b.parse(text)); !errors.As(err, new(ports.Conflicts)) {
		t.Fatalf("got %v, want a conflict", err)
	}
	must(t, b.Await(t.Context(), "us")) // it was stopped first and started again
	if us := b.us(); us.Port != before.Port || us.URL != before.URL || len(b.Snapshot().Silos) != 2 {
		t.Errorf("before %+v, after %+v", before, us)
	}
	if now, err := os.ReadFile(b.config); err != nil || string(now) != string(config) {
		t.Errorf("the region config is now %s, %v", now, err)
	}
	// The ports that were reserved are free again.
	reserved, err := ports.Reserve(t.Context(), []ports.Request{{Name: "us", Port: free, Fixed: true}})
	must(t, err)
	must(t, reserved.Close())
}

func TestApplyRefusesImmutableSettings(t *testing.T) {
	t.Parallel()
	b := start(t, "plain", "")
	must(t, b.Await(t.Context()))
	other := b.parse(strings.Replace(b.text, `name = "bench"`, `name = "other"`, 1))
	for _, apply := range []func() (plan.Changes, error){
		func() (plan.Changes, error) { return b.Preview(other) },
		func() (plan.Changes, error) { return b.Apply(t.Context(), other) },
	} {
		if _, err := apply(); !errors.As(err, new(*plan.ImmutableError)) {
			t.Errorf("got %v, want an ImmutableError", err)
		}
	}
	if got := b.Snapshot(); got.Name != "bench" || got.State != state.InstanceReady {
		t.Errorf("got %+v", got)
	}
}

func TestApplyUsesRotatedSecrets(t *testing.T) {
	t.Parallel()
	b := start(t, "plain", "")
	must(t, b.Await(t.Context()))
	p := b.plan("")
	p.Choice.Dialect.Secrets = true
	current := *b.placement()
	current.Choice = p.Choice
	must(t, b.request(applyEvent{&current, clusterSilos(p), nil}))
	before := b.placement().Run.Secrets
	must(t, b.dir.RotateSecrets())
	changes, err := b.Apply(t.Context(), p)
	must(t, err)
	must(t, b.Await(t.Context()))
	after := b.placement().Run.Secrets
	if len(changes.Restarted) != 2 || len(changes.Kept) != 0 || after.RPC == before.RPC || after.Previous != before.RPC {
		t.Errorf("changes %+v, secrets %+v after %+v", changes, after, before)
	}
	must(t, b.dir.RotateSecrets())
	must(t, b.Restart("us")) // restarting a single silo keeps the shared secrets
	if got := b.placement().Run.Secrets; got != after {
		t.Errorf("a restart of one silo changed secrets: %+v", got)
	}
	must(t, b.Restart())
	if got := b.placement().Run.Secrets; got.Previous != after.RPC {
		t.Errorf("a restart of all silos kept secrets: %+v", got)
	}
	must(t, b.Await(t.Context()))
}

func TestAbandon(t *testing.T) {
	t.Parallel()
	b := start(t, "plain", "")
	must(t, b.Await(t.Context()))
	b.down(t)
	in, err := Prepare(t.Context(), b.plan(""), b.placement().Host, nil)
	must(t, err)
	must(t, in.Abandon(t.Context()))
	last, err := b.dir.Last()
	must(t, err)
	if b.dir.Running() || last.State != state.InstanceStopped {
		t.Errorf("running %v, saved %+v", b.dir.Running(), last)
	}
}
