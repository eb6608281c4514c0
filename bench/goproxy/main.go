//go:build linux

// Command goproxy is httputil.ReverseProxy behind a net/http server.
//
//	goproxy LISTEN TARGET plain    with its defaults
//	goproxy LISTEN TARGET tuned    keeps connections, no compression, larger buffers
package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1], os.Args[2], os.Args[3] == "tuned")
	cancel()
	if err != nil {
		panic(err)
	}
}

func run(ctx context.Context, at, target string, tuned bool) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", at)
	if err != nil {
		return err
	}
	forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "http", Host: target})
		r.Out.Host = r.In.Host
		r.SetXForwarded()
	}}
	if tuned {
		forward.Transport = &http.Transport{
			MaxIdleConnsPerHost: 1024, DisableCompression: true, ReadBufferSize: bufferSize, WriteBufferSize: bufferSize,
		}
		forward.BufferPool = new(pool)
	}
	server := &http.Server{Handler: forward, ReadHeaderTimeout: time.Minute}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

const bufferSize = 16 << 10

// pool is a BufferPool.
type pool struct{ buffers sync.Pool }

func (p *pool) Get() []byte {
	if b, ok := p.buffers.Get().(*[2 * bufferSize]byte); ok {
		return b[:]
	}
	return make([]byte, 2*bufferSize)
}

func (p *pool) Put(b []byte) { p.buffers.Put((*[2 * bufferSize]byte)(b)) }
