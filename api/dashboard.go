package api

import (
	"context"
	"errors"
	"net/http"
)

// ErrNoDashboard says that the instance runs without a page.
var ErrNoDashboard = errors.New("this instance has no dashboard: its port could not be opened")

// Page is where the instance's dashboard is. Its zero value: it has none.
type Page struct {
	URL        string        // the whole address, with the token
	OneTimeURL func() string // makes an address that leads there once
}

// dashboardBody is an address of the instance's page.
type dashboardBody struct {
	URL string `json:"url"`
}

func (s *Server) dashboard(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, dashboardBody{s.options.Page.URL})
}

func (s *Server) dashboardOnce(w http.ResponseWriter, _ *http.Request) {
	var body dashboardBody
	if s.options.Page.OneTimeURL != nil {
		body.URL = s.options.Page.OneTimeURL()
	}
	answer(w, http.StatusOK, body)
}

// Dashboard is the whole address of the instance's page, with the token that lets
// its reader in. Where there is no page it is ErrNoDashboard.
func (c *Client) DashboardURL(ctx context.Context) (string, error) {
	return c.page(ctx, http.MethodGet)
}

// DashboardOnce is an address that leads to the page once, within a minute: it may
// stand among a process's arguments.
func (c *Client) OneTimeDashboardURL(ctx context.Context) (string, error) {
	return c.page(ctx, http.MethodPost)
}

func (c *Client) page(ctx context.Context, method string) (string, error) {
	var body dashboardBody
	if err := c.call(ctx, method, "/v1/dashboard", nil, &body); err != nil {
		return "", err
	}
	if body.URL == "" {
		return "", ErrNoDashboard
	}
	return body.URL, nil
}
