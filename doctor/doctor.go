// Package doctor looks for what is missing on this machine for an instance to
// run, and says how each thing is mended. It mends nothing and changes nothing.
//
// It must not know a command line or a terminal, and holds no knowledge of its
// own of Sentry, ngrok or the kernel: it asks the rooms that do.
package doctor

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"silo/sentry"
	"silo/state"
	"silo/topology"
)

// State is what a check has come to.
type State string

// The states of a check, from good to bad but for Skip.
const (
	OK   State = "ok"
	Warn State = "warn" // it runs, but not all of it, or not for long
	Fail State = "fail" // `silo up` would fail, or what it starts would not work
	Skip State = "skip" // there was nothing to look at, or no way to
)

// Check is one thing that was looked at.
type Check struct {
	Name    string   `json:"name"`
	State   State    `json:"state"`
	Found   []string `json:"found"` // facts, at least one; free of secrets
	Hints   []string `json:"hints"` // commands and edits that mend it; none where all is well
	Seconds float64  `json:"seconds"`
}

// add takes a fact in; the check is as bad as its worst.
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

// Patient is what is looked at.
type Patient struct {
	Topology *topology.Topology // of the instance; with NoTopology what would be without a file; nil where Wrong
	File     string             // of the topology; empty: there is none
	Wrong    error              // why the topology cannot be read
	Instance *state.Dir         // nil where there is no topology file
	Environ  []string           // the caller's
	Env      state.Lookup
	System   string // runtime.GOOS
	Home     string
	// Block makes the region config that belongs into Sentry's configuration. It is
	// called once, and may hold ports for an instant.
	Block func(ctx context.Context) (sentry.Block, error)
	// Run runs a command to its end, as room proc's Output does.
	Run func(ctx context.Context, argv []string, dir string, env []string) ([]byte, error)
}

// The bounds of what takes time. All together stays below ten seconds.
const (
	chooseLimit   = 4 * time.Second
	servicesLimit = 9500 * time.Millisecond // from the beginning on
)

// visit is one look at a patient: what several checks need is found out once.
type visit struct {
	Patient
	choice   func() choice
	services func() services
	block    func() (sentry.Block, error)
}

type choice struct {
	sentry.Choice
	err error
}

// Names are the checks in the order in which Examine tells of them.
func Names() []string {
	var names []string
	for _, c := range checks() {
		names = append(names, c.name)
	}
	return names
}

type check struct {
	name string
	look func(ctx context.Context, v *visit, c *Check)
	// free is set where there is something to look at without a topology that can
	// be read.
	free bool
}

// checks are all there are; those that take longest come last.
func checks() []check {
	return []check{
		{"topology", lookAtTopology, true},
		{"sentry", lookAtSentry, false},
		{"command", lookAtCommand, false},
		{"config", lookAtConfig, false},
		{"tunnels", lookAtTunnels, false},
		{"ports", lookAtPorts, false},
		{"leftovers", lookAtLeftovers, true},
		{"state", lookAtState, true},
		{"system", lookAtSystem, true},
		{"settings", lookAtSettings, false},
		{"postgres", lookAtPostgres, false},
		{"databases", lookAtDatabases, false},
		{"redis", lookAtRedis, false},
		{"watchers", lookAtWatchers, false},
	}
}

// Examine makes all checks side by side, and tells of each, in the order of
// Names, as soon as it and those before it are done. It returns within ten
// seconds, and sooner when ctx ends.
func Examine(ctx context.Context, p Patient, tell func(Check)) []Check {
	ctx, cancel := context.WithTimeout(ctx, servicesLimit)
	defer cancel()
	v := &visit{Patient: p}
	v.choice = sync.OnceValue(func() choice { return v.choose(ctx) })
	v.services = sync.OnceValue(func() services { return v.askServices(ctx) })
	v.block = sync.OnceValues(func() (sentry.Block, error) { return p.Block(ctx) })
	all := checks()
	done := make([]chan Check, len(all))
	for i, one := range all {
		done[i] = make(chan Check, 1)
		go func() { done[i] <- v.make(ctx, one) }() // the loop below waits for it
	}
	made := make([]Check, len(all))
	for i := range all {
		made[i] = <-done[i]
		tell(made[i])
	}
	return made
}

func (v *visit) make(ctx context.Context, one check) Check {
	start := time.Now()
	c := Check{Name: one.name, Hints: []string{}}
	if v.Topology == nil && !one.free {
		c.add(Skip, "the topology has to be mended first")
	} else {
		one.look(ctx, v, &c)
	}
	c.Seconds = time.Since(start).Round(time.Millisecond).Seconds()
	return c
}

// look is where the Sentry of the first silo is looked for.
func (v *visit) look(ctx context.Context) sentry.Finder {
	first := v.Topology.Control
	return sentry.Finder{Dir: first.Dir, Command: first.Command, Env: v.Env, Run: func(_ context.Context, argv []string, dir string) ([]byte, error) {
		return v.Run(ctx, argv, dir, v.Environ)
	}}
}

func (v *visit) choose(ctx context.Context) choice {
	ctx, cancel := context.WithTimeout(ctx, chooseLimit)
	defer cancel()
	found, err := sentry.Choose(ctx, v.Topology.Sentry.Dialect, v.look(ctx))
	return choice{found, err}
}

// environ is the environment of a silo that is not placed yet.
func (v *visit) environ(s topology.Silo) []string {
	mode := "REGION"
	if s.IsControl() {
		mode = "CONTROL"
	}
	var env []string
	for _, one := range sentry.Environ(v.Environ, sentry.Launch{
		Mode: mode, Silo: s, Port: s.Port, ConfigPath: v.Topology.Sentry.Config, SentryEnv: v.Topology.Sentry.Env,
	}, v.choice().Dialect) {
		if one.Name != "SILO_RUN_ID" { // the region config tells by it that it is a silo that reads it
			env = append(env, one.Name+"="+one.Value)
		}
	}
	return env
}

// words is a command line for a person.
func words(argv []string) string { return strings.Join(argv, " ") }

// several is "1 region", "2 regions".
func several(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return itoa(n) + " " + one + "s"
}
