//go:build linux

// Command goproxy is a reverse proxy as Go programs have one, to measure silo's
// beside it, and silo's own without anything around it.
//
//	goproxy LISTEN TARGET plain    httputil.ReverseProxy as it comes
//	goproxy LISTEN TARGET tuned    with connections kept, no compression, larger buffers
//	goproxy LISTEN TARGET silo     room proxy, which records nothing here
//	goproxy LISTEN TARGET record   the same, and it records
package main

import (
	"context"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"silo/proxy"
	"silo/traffic"
)

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1], os.Args[2], os.Args[3])
	cancel()
	if err != nil {
		panic(err)
	}
}

func run(ctx context.Context, at, target, kind string) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", at)
	if err != nil {
		return err
	}
	options := proxy.Options{Silo: "bench", Target: func() string { return target }}
	switch kind {
	case "record":
		options.Recording = &proxy.Recording{Log: traffic.NewLog(traffic.DefaultLimit)}
		fallthrough
	case "silo":
		return proxy.Serve(ctx, listener, proxy.New(options))
	}
	forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "http", Host: target})
		r.Out.Host = r.In.Host
		r.SetXForwarded()
	}}
	if kind == "tuned" {
		forward.Transport = &http.Transport{
			MaxIdleConnsPerHost: 1024, DisableCompression: true, ReadBufferSize: buffer, WriteBufferSize: buffer,
		}
		forward.BufferPool = new(pool)
	}
	return proxy.Serve(ctx, listener, forward)
}

const buffer = 16 << 10

// pool keeps buffers for bodies.
type pool struct{ kept sync.Pool }

func (p *pool) Get() []byte {
	if b, ok := p.kept.Get().(*[2 * buffer]byte); ok {
		return b[:]
	}
	return make([]byte, 2*buffer)
}

func (p *pool) Put(b []byte) { p.kept.Put((*[2 * buffer]byte)(b)) }
