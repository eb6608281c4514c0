//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// tunnelClient asks the public side of the ngrok service.
type tunnelClient struct {
	public, host string
	transport    *http.Transport
}

func newTunnelClient(public, host string) *tunnelClient {
	return &tunnelClient{public, host, &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 1024, WriteBufferSize: 64 << 10, ReadBufferSize: 64 << 10}}
}

func (c *tunnelClient) close() { c.transport.CloseIdleConnections() }

// do returns how many bytes came back.
func (c *tunnelClient) do(ctx context.Context, method, query string, body io.Reader) (answer []byte, n int64, err error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://"+c.public+"/"+query, body)
	if err != nil {
		return nil, 0, err
	}
	request.Host = c.host
	response, err := c.transport.RoundTrip(request)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = response.Body.Close() }() // read to its end
	if method == http.MethodPut {
		answer, err = io.ReadAll(response.Body)
	} else {
		n, err = io.Copy(io.Discard, response.Body)
	}
	if response.StatusCode != http.StatusOK {
		err = errors.Join(err, fmt.Errorf("%s %s: %s", method, query, response.Status))
	}
	return answer, n, err
}

// load asks on so many connections at once, and notes how often, and how long it
// took; it returns how many times. Any answer that is not the server's is an error.
func (c *tunnelClient) load(ctx context.Context, s sample, connections int, window time.Duration) (int, error) {
	times, failures := make([][]time.Duration, connections), make([]error, connections)
	var asking sync.WaitGroup
	begun := time.Now()
	for i := range connections {
		asking.Go(func() {
			for time.Since(begun) < window && ctx.Err() == nil {
				asked := time.Now()
				_, n, err := c.do(ctx, http.MethodGet, "", nil)
				if err != nil || n != 1000 {
					failures[i] = errors.Join(fmt.Errorf("%d bytes", n), err)
					return
				}
				times[i] = append(times[i], time.Since(asked))
			}
		})
	}
	asking.Wait()
	took := time.Since(begun)
	if err := errors.Join(failures...); err != nil {
		return 0, err
	}
	all := slices.Sorted(slices.Values(slices.Concat(times...)))
	at := strconv.Itoa(connections)
	s["requests at "+at] = float64(len(all)) / took.Seconds()
	s["p50 at "+at], s["p99 at "+at] = ms(int64(all[len(all)/2])), ms(int64(all[len(all)*99/100]))
	return len(all), ctx.Err()
}

// down is MB/s of a body that comes.
func (c *tunnelClient) down(ctx context.Context, size int64) (float64, error) {
	begun := time.Now()
	_, n, err := c.do(ctx, http.MethodGet, "?bytes="+strconv.FormatInt(size, 10), nil)
	if err == nil && n != size {
		err = fmt.Errorf("%d bytes came", n)
	}
	return float64(size) / 1e6 / time.Since(begun).Seconds(), err
}

// up is MB/s of a body that goes, in chunks.
func (c *tunnelClient) up(ctx context.Context, size int64) (float64, error) {
	begun := time.Now()
	answer, _, err := c.do(ctx, http.MethodPut, "", io.LimitReader(blank{}, size))
	if err == nil && string(answer) != strconv.FormatInt(size, 10) {
		err = fmt.Errorf("%s bytes arrived", answer)
	}
	return float64(size) / 1e6 / time.Since(begun).Seconds(), err
}

// blank is a body of whatever its reader's buffer holds.
type blank struct{}

func (blank) Read(p []byte) (int, error) { return len(p), nil }
