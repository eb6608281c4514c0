package plan

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"silo/sentry"
	"silo/state"
)

// ErrUnknownAddress is returned if an address is known only once its tunnel is open.
var ErrUnknownAddress = errors.New("the address is known only once its tunnel is open")

// Layout is a Plan with a port and an address for every silo. It is a plain value: it
// opens and reserves nothing.
type Layout struct {
	Plan

	Run    Run
	Placed []Placed // in the order of Plan.Silos
}

// Run has the values that the environments of all silos of one run share.
type Run struct {
	ID       string   // SILO_RUN_ID
	Instance string   // SILO_INSTANCE
	Environ  []string // the caller's environment, as os.Environ returns it
	Secrets  state.Secrets
	Root     bool // silos run as root
	Color    bool // ask silos for color, unless their environment already decides
}

// Placed is a silo with its ports and its address.
type Placed struct {
	Silo

	Port       int
	HealthPort int    // the backend's; differs from Port with watchers
	URL        string // the address
	BrowseURL  string // for browsers, by host name; may be empty
	Preferred  int    // the preferred port if another process uses it; else 0
}

// At places a silo on a port, without an address.
func (s Silo) At(port int) Placed {
	return Placed{Silo: s, Port: port, HealthPort: sentry.HealthPort(s.Silo, port)}
}

// Bind returns the host:port that the silo's devserver listens on.
func (p Placed) Bind() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(p.Port)) }

// HealthAddr returns the host:port of the silo's backend.
func (p Placed) HealthAddr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(p.HealthPort)) }

// FromSnapshot returns the layout of a running instance. The snapshot's ID replaces
// run.ID. Silos of the plan that do not run are left out.
func FromSnapshot(p Plan, run Run, snapshot *state.Snapshot) *Layout {
	run.ID = snapshot.RunID
	l := &Layout{Plan: p, Run: run}
	for _, s := range p.Silos {
		i := slices.IndexFunc(snapshot.Silos, func(live state.Silo) bool { return live.Name == s.Name })
		if i >= 0 {
			live := snapshot.Silos[i]
			l.Placed = append(l.Placed, Placed{Silo: s, Port: live.Port, HealthPort: live.HealthPort, URL: live.URL})
		}
	}
	return l
}

// KnownURL returns the address of a silo before its tunnel is open. edgePort is the
// local provider's port for it. The error wraps ErrUnknownAddress.
func (p Plan) KnownURL(s Placed, edgePort int) (string, error) {
	switch provider := p.Topology.Tunnels.Provider; {
	case provider == "local":
		return "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(edgePort)), nil
	case provider == "none":
		return "http://" + s.Bind(), nil
	case provider == "external" && s.Silo.URL != "":
		return s.Silo.URL, nil
	case s.Domain != "":
		return "https://" + s.Domain, nil
	}
	return "", fmt.Errorf("%s: %w", s.Name, ErrUnknownAddress)
}

// BrowseHost returns a silo's host name for browsers, which resolve it to loopback
// without DNS (RFC 6761, section 6.3); Python does not.
func (p Plan) BrowseHost(s Silo) string {
	host := p.Topology.Name + ".localhost"
	if !s.IsControl() {
		host = s.Name + "." + host
	}
	return strings.ToLower(host)
}

// BrowseURL returns a silo's address for browsers on the port that routes by host; it
// is empty if that port is 0.
func (p Plan) BrowseURL(s Silo, port int) string {
	if port == 0 {
		return ""
	}
	return "http://" + net.JoinHostPort(p.BrowseHost(s), strconv.Itoa(port))
}

// RegionConfig renders the region config of a layout.
func (l *Layout) RegionConfig() (sentry.Block, error) {
	config := sentry.Config{
		Instance: l.Topology.Name, File: l.Topology.File, Dialect: l.Choice.Dialect, PerSilo: l.PerSilo(),
		Workers: slices.ContainsFunc(l.Silos, func(s Silo) bool { return slices.Contains(s.Argv, "--workers") }),
	}
	for _, s := range l.Placed {
		internal := s.URL
		if l.loopback() {
			internal = "http://" + s.HealthAddr()
		}
		if s.IsControl() {
			config.ControlURL, config.ControlPublic = internal, s.URL
			continue
		}
		config.Regions = append(config.Regions, sentry.Region{Name: s.Name, ID: s.ID, URL: internal, Public: s.URL, Category: s.Category})
	}
	return sentry.Render(config)
}

// loopback reports whether silos call one another directly, bypassing their tunnels.
// With "auto" they do if an address leads out of this machine and back, and the dialect
// has separate addresses for silos and browsers.
func (l *Layout) loopback() bool {
	switch provider := l.Topology.Tunnels.Provider; l.Topology.Sentry.Addresses {
	case "loopback":
		return true
	case "auto":
		return l.Choice.Dialect.SplitAddresses && (provider == "ngrok" || provider == "external")
	}
	return false
}

// Find returns the named silo and reports whether the layout has it.
func (l *Layout) Find(name string) (Placed, bool) {
	i := slices.IndexFunc(l.Placed, func(s Placed) bool { return s.Name == name })
	if i < 0 {
		return Placed{}, false
	}
	return l.Placed[i], true
}

// Environment returns the whole environment of a silo, including secrets; nil for an
// unknown name.
func (l *Layout) Environment(name string) []sentry.Var {
	s, known := l.Find(name)
	if !known {
		return nil
	}
	urls := make(map[string]string, len(l.Placed))
	for _, other := range l.Placed {
		urls[sentry.URLVariable(other.Name)] = other.URL
	}
	return l.environment(l.Run, s, urls)
}

// Environ returns Environment as NAME=value entries for a new process.
func (l *Layout) Environ(name string) []string { return entries(l.Environment(name), l.Run.Color) }

// PartialEnviron returns a silo's environment before ports and addresses are known:
// enough to find its program.
func (p Plan) PartialEnviron(run Run, s Silo) []string {
	return entries(p.environment(run, Placed{Silo: s}, nil), run.Color)
}

func (p Plan) environment(run Run, s Placed, urls map[string]string) []sentry.Var {
	launch := sentry.Launch{
		Mode: string(s.Mode), Silo: s.Silo.Silo, Port: s.Port,
		ConfigPath: p.Topology.Sentry.Config, Instance: run.Instance, RunID: run.ID,
		RPCSecret: run.Secrets.Accepted(), SubnetSecret: run.Secrets.Subnet, URLs: urls,
		SentryEnv: p.Topology.Sentry.Env, Root: run.Root,
	}
	if p.PerSilo() {
		launch.Database = sentry.DatabaseSuffix(s.Name)
	}
	return sentry.Environ(run.Environ, launch, p.Choice.Dialect)
}

// entries formats variables and, if color is wanted, asks for it unless the variables
// already decide (https://force-color.org, https://no-color.org).
func entries(vars []sentry.Var, color bool) []string {
	list := make([]string, 0, len(vars)+4)
	for _, v := range vars {
		list = append(list, v.Name+"="+v.Value)
		if v.Name == "FORCE_COLOR" || v.Name == "NO_COLOR" && v.Value != "" {
			color = false
		}
	}
	if color {
		list = append(list, "FORCE_COLOR=1")
	}
	return list
}
