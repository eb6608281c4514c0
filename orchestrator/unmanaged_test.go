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
)

// byHand answers on a silo's port as somebody's own devserver would, in a mode.
// It returns what ends it.
func byHand(t *testing.T, bind, mode string) func() {
	t.Helper()
	listener, err := net.Listen("tcp4", bind)
	// A child that another test starts has a copy of whatever listens until its exec.
	for deadline := time.Now().Add(5 * time.Second); errors.Is(err, syscall.EADDRINUSE) && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
		listener, err = net.Listen("tcp4", bind)
	}
	must(t, err)
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

func TestUnmanagedSilosAreWaitedFor(t *testing.T) {
	t.Parallel()
	b := startAs(t, "plain", "", "managed = false")
	b.until(t, "not found", func() bool { // a child that another test starts may have a copy of what held its port until its exec
		s := b.us()
		return s.Reason != nil && strings.Contains(*s.Reason, "nothing listens")
	})
	if s := b.us(); s.State != state.Starting || s.PID != nil {
		t.Fatalf("before there is one: %+v", s)
	}
	control := b.Snapshot().Silos[0].Bind
	byHand(t, control, "CONTROL")
	end := byHand(t, b.us().Bind, "REGION")
	must(t, b.Await(t.Context()))
	b.Refresh(t.Context())
	b.until(t, "told its mode", func() bool { return b.us().Role != nil && b.Snapshot().Silos[0].Role != nil })
	s := b.us()
	if *s.Role != "REGION" || s.PID == nil || s.ProcessTime != nil || s.ReadyAt == nil || b.Snapshot().IsManaged() {
		t.Errorf("once it is there: %+v", s)
	}
	var unmanaged *UnmanagedError
	for _, wish := range []func(...string) error{b.Start, b.Stop, b.Restart} {
		if err := wish("us"); !errors.As(err, &unmanaged) || !slices.Equal(unmanaged.Names, []string{"us"}) {
			t.Errorf("a wish: %v", err)
		}
	}
	end()
	if s := b.Refresh(t.Context()); s.Silos[1].State != state.Unready || s.Silos[1].PID != nil || s.State != state.InstanceDegraded {
		t.Errorf("once it is gone: %+v", s)
	}
	byHand(t, s.Bind, "REGION")
	must(t, b.Await(t.Context()))
	b.down(t)
	if response, err := http.Get("http://" + control + "/_health/"); err != nil {
		t.Errorf("down has ended what is not silo's: %v", err)
	} else {
		_ = response.Body.Close()
	}
}

func TestAnUnmanagedSiloOfAnotherModeFailsAndIsLookedForAgain(t *testing.T) {
	t.Parallel()
	b := startAs(t, "plain", "", "managed = false")
	b.until(t, "looked for", func() bool { return b.us().Reason != nil })
	end := byHand(t, b.us().Bind, "CONTROL")
	var failed *FailedError
	if err := b.Await(t.Context(), "us"); !errors.As(err, &failed) || !failed.Unmanaged || failed.Silos[0].Reason != wrongModeReason("CONTROL") {
		t.Fatalf("got %v", err)
	}
	if s := b.us(); s.Role == nil || *s.Role != "CONTROL" {
		t.Errorf("got %+v", s)
	}
	end()
	byHand(t, b.us().Bind, "REGION")
	must(t, b.Up("us"))
	must(t, b.Await(t.Context(), "us"))
}

func TestARoleIsToldOfManagedSilosToo(t *testing.T) {
	t.Parallel()
	b := start(t, "plain", "")
	must(t, b.Await(t.Context()))
	b.Refresh(t.Context())
	if s := b.us(); s.Role != nil {
		t.Errorf("it answers like no Sentry, and is said to be a %s", *s.Role)
	}
}
