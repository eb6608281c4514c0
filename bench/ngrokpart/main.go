// Command ngrokpart is what takes part in the bench of tunnels besides silo: an
// ngrok service, a server to be reached, and the SDK's own forwarder. Each prints
// one line once it is ready, and ends with its standard input.
//
//	ngrokpart service DIR                     prints AGENTS CA PUBLIC
//	ngrokpart serve                           on SENTRY_DEVSERVER_BIND, else a free port; prints where
//	ngrokpart forward AGENTS CA HOST UPSTREAM
package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"

	"golang.ngrok.com/ngrok"
	"golang.ngrok.com/ngrok/config"

	"silo/tunnels/ngroktest"
)

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "ngrokpart:", err)
		os.Exit(1) //nolint:forbidigo // this is a main
	}
}

func run(ctx context.Context, args []string) error {
	switch {
	case len(args) == 2 && args[0] == "service":
		service, err := ngroktest.Start(ngroktest.Options{Dir: args[1]}) //nolint:contextcheck // it lives until closed
		if err != nil {
			return err
		}
		say(service.Addr(), service.CAFile(), service.PublicAddr())
		wait()
		return service.Close()
	case len(args) == 1 && args[0] == "serve":
		return serve(ctx)
	case len(args) == 5 && args[0] == "forward":
		return forward(ctx, args[1], args[2], args[3], args[4])
	}
	return errors.New("service, serve or forward")
}

func say(words ...any) { _, _ = fmt.Fprintln(os.Stdout, words...) } // without a reader it ends soon

func wait() { _, _ = io.Copy(io.Discard, os.Stdin) }

// forward is all that a program with the SDK needs to have a tunnel.
func forward(ctx context.Context, agents, caFile, host, upstream string) error {
	pem, err := os.ReadFile(caFile) //nolint:gosec // G703: the harness names it
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	session, err := ngrok.Connect(ctx, ngrok.WithServer(agents), ngrok.WithCA(pool), ngrok.WithAuthtoken("any"))
	if err != nil {
		return err
	}
	if _, err := session.ListenAndForward(ctx, &url.URL{Scheme: "http", Host: upstream}, config.HTTPEndpoint(config.WithDomain(host))); err != nil {
		return err
	}
	say("ready")
	wait()
	return session.Close()
}

// serve answers with 1 kB, takes in what is put, and gives out as much as is asked
// for by ?bytes.
func serve(ctx context.Context) error {
	at := os.Getenv("SENTRY_DEVSERVER_BIND")
	if at == "" {
		at = "127.0.0.1:0"
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", at)
	if err != nil {
		return err
	}
	kilobyte, block := make([]byte, 1000), make([]byte, 256<<10)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { //nolint:gosec // G112: for the bench's own client
		size, _ := strconv.ParseInt(r.URL.Query().Get("bytes"), 10, 64)
		switch {
		case r.Method == http.MethodPut:
			n, _ := io.Copy(io.Discard, r.Body) // the client sees what is missing
			fmt.Fprint(w, n)
		case size == 0:
			_, _ = w.Write(kilobyte)
		default:
			w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
			for ; size > 0; size -= int64(len(block)) {
				if _, err := w.Write(block[:min(size, int64(len(block)))]); err != nil {
					return
				}
			}
		}
	})}
	if os.Getenv("SENTRY_DEVSERVER_BIND") == "" { // else what it says would be taken for silo's word that it is ready
		say(listener.Addr())
		go func() { wait(); _ = server.Close() }()
	}
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
