// Package mesh finds out whether each silo of a running instance can be reached,
// on its own port and through its address, and whether it is that very silo that
// answers there.
//
// It must not know how silos are run, nor how what it finds is shown.
package client

import (
	"context"
	"crypto/rand"
	"net/http"
	"strings"
	"sync"
	"time"

	"silo/state"
)

// The ways to a silo, in the words of `silo request --via`.
const (
	Direct  = "direct"  // its backend's own port
	Address = "address" // what other silos and people reach it by
)

// The steps of a way, in their order. One that a way does not have is left out:
// an address that is an IP needs no dns, and http no tls.
const (
	DNS     = "dns"
	Connect = "connect"
	TLS     = "tls"
	HTTP    = "http" // its health path answers as it should
	Mode    = "mode" // the answers are not those of another mode
	Name    = "name" // no other silo answers; left out where that cannot be told
)

// Report is what was found of an instance.
type Report struct {
	Name     string        `json:"name"`
	Provider string        `json:"provider"`
	OK       bool          `json:"ok"`
	Config   Config        `json:"config"`
	Silos    []CheckedSilo `json:"silos"` // in the snapshot's order
}

// Config is what was found of the region config's file.
type Config struct {
	Path   string `json:"path"`
	OK     bool   `json:"ok"`
	InStep *bool  `json:"in_step"` // null where that cannot be told, or a monolith reads none
	Hint   string `json:"hint,omitempty"`
}

// CheckedSilo is what was found of one silo.
type CheckedSilo struct {
	Name  string      `json:"name"`
	Mode  state.Mode  `json:"mode"`
	State state.Phase `json:"state"`
	OK    bool        `json:"ok"`
	Ways  []Way       `json:"ways"` // Direct, then Address
}

// Way is what was found on one way to a silo. Steps end with the one that failed.
type Way struct {
	Via      string  `json:"via"`
	URL      string  `json:"url"` // without a path
	OK       bool    `json:"ok"`
	Steps    []Step  `json:"steps"`
	Status   *int    `json:"status"`      // of the health path
	Mode     *string `json:"mode"`        // that the answers tell; null where they do not
	Answered *string `json:"answered_by"` // the silo that has answered; null where that cannot be told
	Seconds  float64 `json:"seconds"`     // all of it
	Error    string  `json:"error,omitempty"`
	Hint     string  `json:"hint,omitempty"`

	mark string // what the silo that answers writes into its log
}

// Step is one step of a way.
type Step struct {
	Name    string  `json:"step"`
	OK      bool    `json:"ok"`
	Seconds float64 `json:"seconds"`
}

// Expect is what a healthy silo answers. The zero Expect is Sentry's.
type HealthCheck struct {
	Path   string      // empty: /_health/
	Status int         // 0: 200
	Any    bool        // whatever the answer is, it will do
	Header http.Header // to be sent through the silo's address alone: what its tunnel asks for
}

// CheckOptions say how silos are checked.
type CheckOptions struct {
	Timeout time.Duration            // bounds the check of each silo; at least as long as one should wait
	HealthCheck  func(name string) HealthCheck // nil: Sentry's of all
	Logs    string                   // the directory of the silos' logs, which tell who has answered; empty: none
	UserAgent   string                   // User-Agent
}

// Check looks at all silos of a snapshot side by side, each both ways. The
// snapshot is to be fresh: it says where they are. What cannot be reached is a
// finding and no error.
func Check(ctx context.Context, snapshot *state.Snapshot, o CheckOptions) Report {
	r := Report{Name: snapshot.Name, Provider: snapshot.Provider, Config: config(snapshot), Silos: make([]CheckedSilo, len(snapshot.Silos))}
	diaries := openDiaries(o.Logs, snapshot)
	var all sync.WaitGroup
	for i, silo := range snapshot.Silos {
		r.Silos[i] = CheckedSilo{Name: silo.Name, Mode: silo.Mode, State: silo.State, Ways: []Way{{Via: Direct}, {Via: Address}}}
		bounded, cancel := context.WithTimeout(ctx, o.Timeout)
		var ways sync.WaitGroup
		for w := range r.Silos[i].Ways {
			way := &r.Silos[i].Ways[w]
			way.mark = strings.ToLower(rand.Text())
			t := trip{silo: silo, snapshot: snapshot, options: o, way: way}
			ways.Go(func() { t.take(bounded) })
		}
		all.Go(func() { defer cancel(); ways.Wait() })
	}
	all.Wait()
	diaries.read(ctx, r.Silos)
	r.judge(snapshot)
	return r
}

func config(snapshot *state.Snapshot) Config {
	c := Config{Path: snapshot.Config.Path, InStep: snapshot.Config.InStep}
	c.OK = c.InStep == nil || *c.InStep
	if !c.OK {
		c.Hint = "silo config check shows the difference, silo config write mends it"
	}
	return c
}

// judge sums up.
func (r *Report) judge(snapshot *state.Snapshot) {
	r.OK = r.Config.OK
	for i := range r.Silos {
		s := &r.Silos[i]
		s.OK = true
		for w := range s.Ways {
			way := &s.Ways[w]
			if way.Error == "" && snapshot.Silos[i].State == state.Ready && way.Via == Address && way.Answered == nil && snapshot.Provider == "local" {
				way.Answered = &s.Name // the edge is the supervisor's own, and leads nowhere else
			}
			way.OK = way.Error == ""
			s.OK = s.OK && way.OK
		}
		r.OK = r.OK && s.OK
	}
}

// still is Live of one snapshot.
func still(snapshot *state.Snapshot) SnapshotFunc {
	return func(context.Context) (*state.Snapshot, error) { return snapshot, nil }
}
