// Package doctor checks whether this machine has everything that an instance needs
// to run, and suggests fixes. It changes nothing.
//
// It must not know about the command line or terminals. The packages that it calls know
// the requirements of Sentry, ngrok and the kernel.
package doctor

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"silo/sentry"
	"silo/state"
	"silo/topology"
)

// State is the result of a check.
type State string

// The states of a check.
const (
	OK   State = "ok"
	Warn State = "warn" // silo works, but something else does not, or may stop working soon
	Fail State = "fail" // `silo up` would fail, or the silos would not work
	Skip State = "skip" // not applicable or not possible
)

// Check is the result of one check.
type Check struct {
	Name    string   `json:"name"`
	State   State    `json:"state"`
	Found   []string `json:"found"` // facts, at least one; without secrets
	Hints   []string `json:"hints"` // commands and edits that fix the problem
	Seconds float64  `json:"seconds"`
}

// add adds a fact to the check, whose state is the worst of all its facts.
func (c *Check) add(state State, found string, hints ...string) {
	rank := []State{Skip, OK, Warn, Fail}
	if c.State == "" || slices.Index(rank, state) > slices.Index(rank, c.State) {
		c.State = state
	}
	c.Found = append(c.Found, found)
	for _, hint := range hints {
		if hint != "" && !slices.Contains(c.Hints, hint) {
			c.Hints = append(c.Hints, hint)
		}
	}
}

// Target is what Run checks.
type Target struct {
	Topology    *topology.Topology // the defaults if File is empty; nil if TopologyErr is set
	File        string             // of the topology; empty without one
	TopologyErr error              // why the topology cannot be loaded
	Instance    *state.Dir         // nil if there is no topology file
	Environ     []string           // of the caller
	Env         state.Lookup
	Home        string
	// Block renders the region config of the topology. It is called once, and may
	// reserve ports while it runs.
	Block func(ctx context.Context) (sentry.Block, error)
	// Exec runs a command until it exits, as proc.Output does.
	Exec func(ctx context.Context, argv []string, dir string, env []string) ([]byte, error)
}

// Time limits. settingsLimit leaves time to try the services without the settings: limit,
// for all checks together, stays below Run's fifteen seconds.
const (
	chooseLimit   = 4 * time.Second
	settingsLimit = 9 * time.Second
	limit         = 14500 * time.Millisecond
)

// examination is one call of Run. The functions compute values that several checks share.
type examination struct {
	Target
	choice   func() (sentry.Choice, error)
	services func() services
	block    func() (sentry.Block, error)
}

type check struct {
	name string
	run  func(ctx context.Context, e *examination, c *Check)
	// always means that the check runs even if the topology cannot be loaded.
	always bool
}

// checks lists all checks, the slowest last.
var checks = []check{
	{"topology", checkTopology, true},
	{"sentry", checkSentry, false},
	{"command", checkCommand, false},
	{"config", checkConfig, false},
	{"tunnels", checkTunnels, false},
	{"ports", checkPorts, false},
	{"leftovers", checkLeftovers, true},
	{"state", checkState, true},
	{"system", checkSystem, true},
	{"settings", checkSettings, false},
	{"postgres", checkPostgres, false},
	{"databases", checkDatabases, false},
	{"redis", checkRedis, false},
	{"devservices", checkDevservices, false},
	{"watchers", checkWatchers, false},
}

// Names returns the names of the checks in the order of Run.
func Names() []string {
	var names []string
	for _, c := range checks {
		names = append(names, c.name)
	}
	return names
}

// Run runs all checks in parallel, and calls report with each result as soon as that
// check and those before it are done. It returns within fifteen seconds, and sooner if
// ctx ends.
func Run(ctx context.Context, target Target, report func(Check)) []Check {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	e := &examination{Target: target}
	e.choice = sync.OnceValues(func() (sentry.Choice, error) {
		ctx, cancel := context.WithTimeout(ctx, chooseLimit)
		defer cancel()
		return sentry.Choose(ctx, e.Topology.Sentry.Dialect, e.finder(ctx))
	})
	e.services = sync.OnceValue(func() services { return e.findServices(ctx) })
	e.block = sync.OnceValues(func() (sentry.Block, error) { return target.Block(ctx) })
	results := make([]chan Check, len(checks))
	for i, one := range checks {
		results[i] = make(chan Check, 1)
		go func() { results[i] <- e.runCheck(ctx, one) }() // awaited by the loop below
	}
	done := make([]Check, len(checks))
	for i := range checks {
		done[i] = <-results[i]
		report(done[i])
	}
	return done
}

func (e *examination) runCheck(ctx context.Context, one check) Check {
	start := time.Now()
	c := Check{Name: one.name, Hints: []string{}}
	if e.Topology == nil && !one.always {
		c.add(Skip, "fix the topology first")
	} else {
		one.run(ctx, e, &c)
	}
	c.Seconds = time.Since(start).Round(time.Millisecond).Seconds()
	return c
}

// finder returns the finder for the Sentry that control runs.
func (e *examination) finder(ctx context.Context) sentry.Finder {
	control := e.Topology.Control
	return sentry.Finder{Dir: control.Dir, Command: control.Command, Env: e.Env, Run: func(_ context.Context, argv []string, dir string) ([]byte, error) {
		return e.Exec(ctx, argv, dir, e.Environ)
	}}
}

// environ returns the part of a silo's environment that is known before placement.
func (e *examination) environ(s topology.Silo) []string {
	mode := "REGION"
	if s.IsControl() {
		mode = "CONTROL"
	}
	choice, _ := e.choice() // checkSentry reports the error
	var env []string
	for _, v := range sentry.Environ(e.Environ, sentry.Launch{
		Mode: mode, Silo: s, Port: s.Port, ConfigPath: e.Topology.Sentry.Config, SentryEnv: e.Topology.Sentry.Env,
	}, choice.Dialect) {
		if v.Name != "SILO_RUN_ID" { // otherwise the settings would execute silo's block
			env = append(env, v.Name+"="+v.Value)
		}
	}
	return env
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// plural returns "1 region" or "2 regions".
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// join joins the first items and counts the rest.
func join(items []string, limit int) string {
	if len(items) <= limit {
		return strings.Join(items, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(items[:limit], ", "), len(items)-limit)
}
