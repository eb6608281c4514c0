package api

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"silo/traffic"
)

// Requests are the latest n exchanges that filter lets through, oldest first,
// without their bodies and secrets; all that are kept where n is 0. The version is
// what a watch goes on from.
func (c *Client) Requests(ctx context.Context, filter traffic.Filter, n int) (list []traffic.Exchange, version uint64, err error) {
	var body requestsBody
	err = c.call(ctx, http.MethodGet, "/v1/requests?"+queryOf(filter, n), nil, &body)
	return body.Requests, body.Version, err
}

// Exchange is one exchange with its bodies and without its secrets, or
// orchestrator.ErrNotKept.
func (c *Client) Exchange(ctx context.Context, id uint64) (traffic.Exchange, error) {
	var e traffic.Exchange
	return e, c.call(ctx, http.MethodGet, "/v1/requests/"+strconv.FormatUint(id, 10), nil, &e)
}

// watchUpdates hands over exchanges that begin or end after a version, until see
// returns false (nil), ctx ends, or the stream does (ErrNotRunning).
func (c *Client) watchUpdates(ctx context.Context, since uint64, filter traffic.Filter, see func(requestUpdate) bool) error {
	return watch(ctx, c, fmt.Sprintf("/v1/requests/watch?since=%d&%s", since, queryOf(filter)), see)
}

// HAR is the export of the latest n exchanges that filter lets through, of all
// that are kept where n is 0.
func (c *Client) HAR(ctx context.Context, filter traffic.Filter, n int) ([]byte, error) {
	return c.text(ctx, "/v1/requests.har?"+queryOf(filter, n))
}

// ExchangeHAR is the export of one exchange, or orchestrator.ErrNotKept.
func (c *Client) ExchangeHAR(ctx context.Context, id uint64) ([]byte, error) {
	return c.text(ctx, "/v1/requests/"+strconv.FormatUint(id, 10)+"/har")
}

// text is an answer as it comes.
func (c *Client) text(ctx context.Context, path string) ([]byte, error) {
	response, err := c.do(ctx, http.MethodGet, path, nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }() // read below
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("read the supervisor's answer: %w", err)
	}
	return text, nil
}

// Replay sends an exchange's request again, to its silo or to the one that is
// named, and returns how that went once it has ended, without secrets. Errors are
// orchestrator.ErrNotKept, an UnrepeatableError, an UnknownSiloError or of the way.
func (c *Client) Replay(ctx context.Context, id uint64, to string) (traffic.Exchange, error) {
	var e traffic.Exchange
	return e, c.call(ctx, http.MethodPost, "/v1/replay", replayBody{id, to}, &e)
}
