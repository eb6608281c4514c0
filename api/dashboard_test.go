package api

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestDashboardURL(t *testing.T) {
	t.Parallel()
	_, _, client := serve(t)
	url, err := client.DashboardURL(t.Context())
	must(t, err)
	once, err := client.OneTimeDashboardURL(t.Context())
	must(t, err)
	if url != "http://127.0.0.1:1/token/" || once != "http://127.0.0.1:1/ticket" {
		t.Errorf("the dashboard is at %s, once at %s", url, once)
	}
}

// The routes for browsers reveal neither the token nor files.
func TestPublicRoutes(t *testing.T) {
	t.Parallel()
	s := newServer(nil, Options{Page: Page{URL: "secret"}}, "", defaultTimeouts())
	for _, path := range []string{"/v1/dashboard", "/v1/config", "/v1/tail", "/v1/up"} {
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodPost, path, http.NoBody))
		if body, _ := io.ReadAll(w.Result().Body); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d %s", path, w.Code, body)
		}
	}
}

func TestNoDashboard(t *testing.T) {
	t.Parallel()
	i := launch(t, t.TempDir())
	t.Cleanup(func() { i.end(t) })
	i.server.options.Page = Page{}
	if url, err := i.client.DashboardURL(t.Context()); !errors.Is(err, ErrNoDashboard) {
		t.Errorf("DashboardURL returns %q, %v", url, err)
	}
	if url, err := i.client.OneTimeDashboardURL(t.Context()); !errors.Is(err, ErrNoDashboard) {
		t.Errorf("once DashboardURL returns %q, %v", url, err)
	}
}
