package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"

	"silo/traffic"
)

// Requests returns the latest n exchanges that match the filter, oldest first, without bodies and
// secrets; with n 0, all that are kept. A watch continues from the version.
func (c *Client) Requests(ctx context.Context, filter traffic.Filter, n int) (list []traffic.Exchange, version uint64, err error) {
	body, err := call[requestsBody](ctx, c, http.MethodGet, "/v1/requests?"+encodeFilter(filter, n), nil)
	return body.Requests, body.Version, err
}

// Exchange returns one exchange with its bodies and without its secrets, or
// orchestrator.ErrNotKept.
func (c *Client) Exchange(ctx context.Context, id uint64) (traffic.Exchange, error) {
	return call[traffic.Exchange](ctx, c, http.MethodGet, exchangePath(id), nil)
}

func exchangePath(id uint64) string { return "/v1/requests/" + strconv.FormatUint(id, 10) }

// HAR exports the latest n exchanges that match the filter, or all that are kept if
// n is 0.
func (c *Client) HAR(ctx context.Context, filter traffic.Filter, n int) ([]byte, error) {
	return c.har(ctx, "/v1/requests.har?"+encodeFilter(filter, n))
}

// ExchangeHAR exports one exchange, or returns orchestrator.ErrNotKept.
func (c *Client) ExchangeHAR(ctx context.Context, id uint64) ([]byte, error) {
	return c.har(ctx, exchangePath(id)+"/har")
}

func (c *Client) har(ctx context.Context, path string) ([]byte, error) {
	har, err := call[json.RawMessage](ctx, c, http.MethodGet, path, nil)
	return append(har, '\n'), err
}

// Replay sends the request of an exchange again, to its silo or to the named one, and returns the
// new exchange once it has ended, without secrets. Errors are orchestrator.ErrNotKept,
// UnrepeatableError, UnknownSiloError, or a connection error.
func (c *Client) Replay(ctx context.Context, id uint64, to string) (traffic.Exchange, error) {
	return call[traffic.Exchange](ctx, c, http.MethodPost, "/v1/replay", replayBody{id, to})
}
