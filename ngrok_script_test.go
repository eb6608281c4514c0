package main

import (
	"context"
	"io"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"

	"silo/tunnels/ngroktest"
)

// services is where the scripts keep their ngrok services: one a script.
type services struct {
	mu     sync.Mutex // guards byName
	byName map[string]*ngroktest.Service
}

// ngrokService is a script's command on an ngrok service of its own:
//
//	ngrok start DOMAIN…      starts it; NGROK_ADDR and NGROK_CA say where it is
//	ngrok fail-auth CODE     refuses every agent
//	ngrok fail-bind HOST CODE
//	ngrok occupy HOST
//	ngrok refuse             takes no connections any more
//	ngrok freeze             takes them, and never answers
//	ngrok get HOST PATH      what the public gets, with its status, on stdout
//	ngrok empty              wants no endpoint to be bound
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
	case "occupy":
		s.Occupy(args[1], true)
	case "refuse":
		s.Refuse()
	case "freeze":
		s.Freeze()
	case "get":
		response, err := s.Get(context.Background(), args[1], args[2])
		ts.Check(err)
		body, err := io.ReadAll(response.Body)
		ts.Check(err)
		ts.Check(response.Body.Close())
		_, err = io.WriteString(ts.Stdout(), response.Status+"\n"+string(body))
		ts.Check(err)
	case "empty":
		// The service learns of a session's end from the network, a moment later.
		await(ts, "empty", func() bool { return len(s.Endpoints()) == 0 })
	default:
		ts.Fatalf("ngrok %s?", strings.Join(args, " "))
	}
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
