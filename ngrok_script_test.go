package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"

	"silo/state"
	"silo/tunnels/ngroktest"
)

// services holds one ngrok service for each script.
type services struct {
	mu     sync.Mutex // guards byName
	byName map[string]*ngroktest.Service
}

// ngrok controls the script's ngrok service:
//
//	ngrok start DOMAIN…      starts it and sets NGROK_ADDR and NGROK_CA
//	ngrok fail-auth CODE     rejects every agent; '' accepts them again
//	ngrok fail-bind HOST CODE
//	ngrok occupy HOST, ngrok release HOST
//	ngrok refuse, admit      rejects connections, or accepts them again
//	ngrok freeze, thaw       stops answering, or continues
//	ngrok drop               closes all connections
//	ngrok options HOST       prints the options of an endpoint
//	ngrok get HOST PATH      prints status and body of a public request
//	ngrok empty              waits until no endpoint is bound
func (all *services) ngrok(ts *testscript.TestScript, _ bool, args []string) {
	if args[0] == "start" {
		all.start(ts, args[1:])
		return
	}
	all.mu.Lock()
	s := all.byName[ts.Name()]
	all.mu.Unlock()
	switch args[0] {
	case "fail-auth":
		s.FailAuth(args[1])
	case "fail-bind":
		s.FailBind(args[1], args[2])
	case "occupy", "release":
		s.Occupy(args[1], args[0] == "occupy")
	case "refuse":
		s.CloseListener()
	case "admit":
		ts.Check(s.ReopenListener())
	case "freeze":
		s.Freeze()
	case "thaw":
		s.Thaw()
	case "drop":
		s.DropSessions()
	case "options":
		for _, e := range s.Endpoints() {
			if e.Host == args[1] {
				_, err := fmt.Fprintf(ts.Stdout(), "basic_auth %q\nallow_cidrs %q\ntraffic_policy %q\n", e.BasicAuth, e.AllowCIDRs, e.TrafficPolicy)
				ts.Check(err)
			}
		}
	case "get":
		response, err := s.Get(context.Background(), args[1], args[2])
		ts.Check(err)
		body, err := io.ReadAll(response.Body)
		ts.Check(err)
		ts.Check(response.Body.Close())
		_, err = io.WriteString(ts.Stdout(), response.Status+"\n"+string(body))
		ts.Check(err)
	case "empty":
		// The service notices only a moment later that a session has ended.
		await(ts, "empty", func() bool { return len(s.Endpoints()) == 0 })
	default:
		ts.Fatalf("unknown command: ngrok %s", strings.Join(args, " "))
	}
}

// awaitTunnel waits for a tunnel's state and error code: await-tunnel SILO STATE [CODE].
// A silent connection is detected after 25 s.
func awaitTunnel(ts *testscript.TestScript, _ bool, args []string) {
	awaitSnapshot(ts, strings.Join(args, " "), func(s state.Snapshot) bool {
		return slices.ContainsFunc(s.Silos, func(s state.Silo) bool {
			return s.Name == args[0] && string(s.Tunnel.State) == args[1] &&
				(len(args) < 3 || s.Tunnel.Error != nil && s.Tunnel.Error.Code == args[2])
		})
	})
}

func (all *services) start(ts *testscript.TestScript, domains []string) {
	s, err := ngroktest.Start(ngroktest.Options{
		Dir: ts.Getenv("WORK"), Tokens: []string{"the-right-token"}, Domains: domains,
	})
	ts.Check(err)
	ts.Defer(func() { _ = s.Close() })
	all.mu.Lock()
	all.byName[ts.Name()] = s
	all.mu.Unlock()
	ts.Setenv("NGROK_ADDR", s.Addr())
	ts.Setenv("NGROK_CA", s.CAFile())
}
