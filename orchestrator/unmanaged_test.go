package orchestrator

import (
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"silo/state"
	"silo/wait/waittest"
)

// listen listens on a port that was released.
func listen(t *testing.T, addr string) (listener net.Listener) {
	t.Helper()
	var err error
	waittest.Until(t, "the port is free", func() bool { // until it calls exec, a child of another test has a copy of the old listener
		listener, err = net.Listen("tcp4", addr)
		return !errors.Is(err, syscall.EADDRINUSE)
	})
	must(t, err)
	return listener
}

// serveAs answers on a silo's port like a devserver that a user runs in a given mode. It
// returns a function that stops it.
func serveAs(t *testing.T, bind, mode string) func() {
	t.Helper()
	listener := listen(t, bind)
	server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		has := map[string]string{"/api/0/users/me/": "CONTROL", "/api/0/organizations/": "REGION"}[r.URL.Path]
		switch {
		case r.URL.Path == "/_health/":
			_, _ = io.WriteString(w, "ok")
		case has == mode:
			w.WriteHeader(http.StatusUnauthorized)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	})}
	served := make(chan struct{})
	go func() { defer close(served); _ = server.Serve(listener) }()
	end := func() { _ = server.Close(); <-served }
	t.Cleanup(end)
	return end
}

func TestUnmanagedSilos(t *testing.T) {
	t.Parallel()
	b := startAs(t, "plain", "", "managed = false")
	b.until(t, "waiting", func() bool { // until it calls exec, a child of another test may have a copy of the listener
		s := b.us()
		return s.Reason != nil && strings.Contains(*s.Reason, "nothing listens")
	})
	if s := b.us(); s.State != state.Starting || s.PID != nil {
		t.Fatalf("before its start: %+v", s)
	}
	control := b.Snapshot().Silos[0].Bind
	serveAs(t, control, "CONTROL")
	end := serveAs(t, b.us().Bind, "REGION")
	must(t, b.Await(t.Context()))
	waittest.Until(t, "modes are known", func() bool { // on a busy machine, a refresh may find a silo unready
		s := b.Refresh(t.Context())
		return s.State == state.InstanceReady && s.Silos[0].Role != nil && s.Silos[1].Role != nil
	})
	s := b.us()
	if *s.Role != "REGION" || s.PID == nil || s.ProcessTime != nil || s.ReadyAt == nil || *s.Managed || *b.Snapshot().Managed {
		t.Errorf("once it answers: %+v", s)
	}
	var unmanaged *UnmanagedError
	for _, command := range []func(...string) error{b.Start, b.Stop, b.Restart} {
		if err := command("us"); !errors.As(err, &unmanaged) || !slices.Equal(unmanaged.Names, []string{"us"}) {
			t.Errorf("got %v, want an UnmanagedError", err)
		}
	}
	end()
	if s := b.Refresh(t.Context()); s.Silos[1].State != state.Unready || s.Silos[1].PID != nil || s.State != state.InstanceDegraded {
		t.Errorf("after its end: %+v", s)
	}
	serveAs(t, s.Bind, "REGION")
	must(t, b.Await(t.Context()))
	b.down(t)
	if response, err := http.Get("http://" + control + "/_health/"); err != nil {
		t.Errorf("Down stopped an unmanaged silo: %v", err)
	} else {
		_ = response.Body.Close()
	}
}

func TestUnmanagedSiloInWrongMode(t *testing.T) {
	t.Parallel()
	b := startAs(t, "plain", "", "managed = false")
	b.until(t, "probed", func() bool { return b.us().Reason != nil })
	end := serveAs(t, b.us().Bind, "CONTROL")
	var failed *FailedError
	if err := b.Await(t.Context(), "us"); !errors.As(err, &failed) || !failed.Unmanaged || failed.Silos[0].Reason != wrongModeReason("CONTROL") {
		t.Fatalf("got %v", err)
	}
	if s := b.us(); s.Role == nil || *s.Role != "CONTROL" {
		t.Errorf("got %+v", s)
	}
	end()
	serveAs(t, b.us().Bind, "REGION")
	must(t, b.Up("us"))
	must(t, b.Await(t.Context(), "us"))
}

func TestNoRoleWithoutSentry(t *testing.T) {
	t.Parallel()
	b := start(t, "plain", "")
	must(t, b.Await(t.Context()))
	b.Refresh(t.Context())
	if s := b.us(); s.Role != nil {
		t.Errorf("the stand-in is not Sentry, but its role is %s", *s.Role)
	}
}
