package cmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"silo/api"
	"silo/client"
	"silo/databases"
	"silo/orchestrator"
	"silo/plan"
	"silo/ports"
	"silo/sentry"
	"silo/state"
	"silo/topology"
	"silo/tunnels"
)

func TestClassify(t *testing.T) {
	t.Parallel()
	silos := []orchestrator.Failure{{Name: "us"}}
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, exitDone},
		{errors.New("failed"), exitFailed},
		{exitQuietly(42), 42},
		{context.Canceled, exitInterrupted},
		{context.DeadlineExceeded, exitTimeout},
		{&usageError{text: "usage"}, exitUsage},
		{topology.ErrNotFound, exitUsage},
		{client.ErrRequest, exitUsage},
		{&plan.UnknownSiloError{Name: "us"}, exitUsage},
		{api.ErrNotRunning, exitStopped},
		{api.ErrHung, exitFailed},
		{topology.Problems{{}}, exitInvalid},
		{sentry.ErrUnsupported, exitInvalid},
		{sentry.ErrBroken, exitInvalid},
		{sentry.ErrMissing, exitFailed},
		{ports.Conflicts{{Name: "us", Port: 8002}}, exitConflict},
		{&state.ClaimedError{}, exitConflict},
		{&plan.ImmutableError{}, exitConflict},
		{&databases.RunningError{}, exitConflict},
		{&databases.MissingError{}, exitFailed},
		{state.ErrRunning, exitConflict},
		{&tunnels.Error{Class: tunnels.Conflict}, exitConflict},
		{&tunnels.Error{}, exitFailed},
		{&orchestrator.FailedError{Silos: silos}, exitFailed},
		{&orchestrator.FailedError{Silos: silos, TimedOut: true}, exitTimeout},
		{&orchestrator.NotReadyError{Silos: silos}, exitTimeout},
		{&orchestrator.NotReadyError{Silos: silos, Unmanaged: true}, exitTimeout},
		{&client.TimeoutError{Silo: "us"}, exitTimeout},
	} {
		if c.err != nil {
			c.err = fmt.Errorf("wrapped: %w", c.err)
		}
		got := (&app{env: map[string]string{}}).classify(c.err)
		if got.Code != c.want {
			t.Errorf("%v: exit code %d, want %d", c.err, got.Code, c.want)
		}
		if got.Running != errors.Is(c.err, state.ErrRunning) {
			t.Errorf("%v: running is %v", c.err, got.Running)
		}
	}
}

func TestHintsCallSiloAsItWasStarted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/silo", nil, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ program, path, want string }{
		{"", "", "silo up"},
		{"silo", dir, "silo up"},
		{"/tmp/go-build12/b001/exe/silo", "", "go run . up"},
		{"/tmp/go-build12/b001/exe/silo", dir, "silo up"},
		{"./silo", "", "./silo up"},
	} {
		a := &app{Invocation: Invocation{Program: c.program, Environ: []string{"PATH=" + c.path}}}
		if got := a.pastable([]string{"silo up", "edit silo.toml"}); !slices.Equal(got, []string{c.want, "edit silo.toml"}) {
			t.Errorf("%+v: hints %q", c, got)
		}
	}
}

func TestHintsSelectTheInstance(t *testing.T) {
	t.Parallel()
	a := &app{Invocation: Invocation{Program: "./silo"}, selection: "-f 'a b.toml' "}
	got := a.pastable([]string{"silo down && silo up", "silo -f /other.toml down", "change port of us in silo.toml"})
	want := []string{"./silo -f 'a b.toml' down && ./silo -f 'a b.toml' up", "./silo -f /other.toml down", "change port of us in silo.toml"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	var stderr bytes.Buffer
	file := t.TempDir() + "/none.toml"
	Main(t.Context(), Invocation{Args: []string{"up", "-f", file}, Stdout: io.Discard, Stderr: &stderr})
	if want := "hint: silo -f " + file + " init\n"; !strings.HasSuffix(stderr.String(), want) {
		t.Errorf("got %q, want a last line %q", &stderr, want)
	}
}

func TestGatedWriter(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	g := &gatedWriter{out: &out, onError: func() { t.Error("no write failed") }}
	for _, text := range []string{"closed", "open"} {
		g.open.Store(text == "open")
		if n, err := io.WriteString(g, text); n != len(text) || err != nil {
			t.Errorf("write %q: %d, %v", text, n, err)
		}
	}
	if out.String() != "open" {
		t.Errorf("written: %q", &out)
	}
	failed := 0
	_, writer := io.Pipe()
	_ = writer.Close()
	g = &gatedWriter{out: writer, onError: func() { failed++ }}
	g.open.Store(true)
	if _, err := io.Copy(g, strings.NewReader("lost")); err == nil || failed != 1 {
		t.Errorf("a failed write: %v, onError called %d times", err, failed)
	}
}
