package api

import (
	"context"
	"net/http"
)

// Page is the instance's dashboard. The zero value means no dashboard.
type Page struct {
	URL        string        // with the token
	OneTimeURL func() string // creates an address that works once
}

// DashboardURL returns the address of the instance's dashboard with its token, or
// ErrNoDashboard.
func (c *Client) DashboardURL(ctx context.Context) (string, error) {
	return c.dashboard(ctx, http.MethodGet)
}

// OneTimeDashboardURL returns an address that opens the dashboard once, within a minute, so it may
// appear in a process's arguments.
func (c *Client) OneTimeDashboardURL(ctx context.Context) (string, error) {
	return c.dashboard(ctx, http.MethodPost)
}

func (c *Client) dashboard(ctx context.Context, method string) (string, error) {
	body, err := call[dashboardBody](ctx, c, method, "/v1/dashboard", nil)
	if err == nil && body.URL == "" {
		err = ErrNoDashboard
	}
	return body.URL, err
}
