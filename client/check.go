package client

import (
	"context"
	"crypto/rand"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"silo/state"
)

// The ways to a silo, named as in `silo request --via`.
const (
	Direct  = "direct"  // its backend's own port
	Address = "address" // the address for other silos and for people
)

// The steps of a way, in order. A step that a way does not need is left out: an IP
// address needs no dns, and http no tls.
const (
	DNS     = "dns"
	Connect = "connect"
	TLS     = "tls"
	HTTP    = "http" // the health path answers as expected
	Mode    = "mode" // no answer belongs to another mode
	Name    = "name" // no other silo answers; left out if that is unknown
)

// Report is the result for an instance.
type Report struct {
	Name     string        `json:"name"`
	Provider string        `json:"provider"`
	OK       bool          `json:"ok"`
	Config   Config        `json:"config"`
	Silos    []CheckedSilo `json:"silos"` // in the snapshot's order
}

// Config is the result for the region config's file.
type Config struct {
	Path   string `json:"path"`
	OK     bool   `json:"ok"`
	InStep *bool  `json:"in_step"` // null if unknown, or for a monolith, which reads none
	Hint   string `json:"hint,omitempty"`
}

// CheckedSilo is the result for one silo.
type CheckedSilo struct {
	Name  string      `json:"name"`
	Mode  state.Mode  `json:"mode"`
	State state.Phase `json:"state"`
	OK    bool        `json:"ok"`
	Ways  []Way       `json:"ways"` // Direct, then Address
}

// Way is the result for one way to a silo. Steps end with the one that failed.
type Way struct {
	Via      string  `json:"via"`
	URL      string  `json:"url"` // without a path
	OK       bool    `json:"ok"`
	Steps    []Step  `json:"steps"`
	Status   *int    `json:"status"`      // of the health path
	Mode     *string `json:"mode"`        // according to the answers; null if they do not show it
	Answered *string `json:"answered_by"` // name of the silo that answered; null if unknown
	Seconds  float64 `json:"seconds"`     // in total
	Error    string  `json:"error,omitempty"`
	Hint     string  `json:"hint,omitempty"`

	mark string // in the query of the health request, which the answering silo logs
}

// Step is one step of a way.
type Step struct {
	Name    string  `json:"step"`
	OK      bool    `json:"ok"`
	Seconds float64 `json:"seconds"`
}

func (w *Way) addStep(name string, ok bool, since time.Time) {
	w.Steps = append(w.Steps, Step{name, ok, time.Since(since).Seconds()})
}

// HealthCheck describes the answer of a healthy silo. The zero value describes Sentry's.
type HealthCheck struct {
	Path   string      // empty: /_health/
	Status int         // 0: 200
	Any    bool        // any body
	Header http.Header // sent only through the silo's address: its tunnel requires it
}

// CheckOptions configure Check.
type CheckOptions struct {
	Only        []string                      // the silos to check; empty: all
	Timeout     time.Duration                 // bounds each way to each silo
	HealthCheck func(name string) HealthCheck // nil: Sentry's for all
	Logs        string                        // the directory of the silos' logs, which show which silo answered; empty: none
	UserAgent   string
}

// Check checks both ways to all silos of a snapshot, all in parallel. The snapshot
// must be fresh: it has their addresses. An unreachable silo is a result, not an
// error.
func Check(ctx context.Context, snapshot *state.Snapshot, o CheckOptions) Report {
	r := Report{Name: snapshot.Name, Provider: snapshot.Provider, Config: checkConfig(snapshot), Silos: make([]CheckedSilo, 0, len(snapshot.Silos))}
	logs := openLogs(o.Logs, snapshot)
	var probes sync.WaitGroup
	for _, silo := range snapshot.Silos {
		if len(o.Only) > 0 && !slices.Contains(o.Only, silo.Name) {
			continue
		}
		ways := []Way{{Via: Direct}, {Via: Address}}
		r.Silos = append(r.Silos, CheckedSilo{Name: silo.Name, Mode: silo.Mode, State: silo.State, Ways: ways})
		for w := range ways {
			way := &ways[w]
			way.mark = strings.ToLower(rand.Text())
			p := probe{silo: silo, snapshot: snapshot, options: o, way: way}
			probes.Go(func() {
				bounded, cancel := context.WithTimeout(ctx, o.Timeout)
				defer cancel()
				p.run(bounded)
			})
		}
	}
	probes.Wait()
	logs.match(ctx, r.Silos)
	r.summarize(snapshot)
	return r
}

func checkConfig(snapshot *state.Snapshot) Config {
	c := Config{Path: snapshot.Config.Path, InStep: snapshot.Config.InStep}
	c.OK = c.InStep == nil || *c.InStep
	if !c.OK {
		c.Hint = "silo config check shows the difference, silo config write fixes it"
	}
	return c
}

// summarize sets every OK field.
func (r *Report) summarize(snapshot *state.Snapshot) {
	r.OK = r.Config.OK
	for i := range r.Silos {
		s := &r.Silos[i]
		s.OK = true
		for w := range s.Ways {
			way := &s.Ways[w]
			way.OK = way.Error == ""
			if way.OK && s.State == state.Ready && way.Via == Address && way.Answered == nil && snapshot.Provider == "local" {
				way.Answered = &s.Name // the supervisor's own listener forwards only there
			}
			s.OK = s.OK && way.OK
		}
		r.OK = r.OK && s.OK
	}
}
