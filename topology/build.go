package topology

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// builder makes a Topology from validated values. It also checks ids, ports, domains
// and addresses across silos.
type builder struct {
	file     string // absolute
	env      func(string) (string, bool)
	root     *node
	found    *findings
	warnings *findings
}

// parsedSilo is a silo and its position in the file.
type parsedSilo struct {
	Silo
	own    *node // its table; nil if the file does not contain control
	keys   *node // its table, merged over [sentry] and the defaults
	domain *node // the value that determines its domain
}

func (s *parsedSilo) title() string {
	if s.Name == "control" {
		return "control"
	}
	return "region " + s.Name
}

func (b *builder) build() *Topology {
	top := overlay(presets(keys().fields), b.root)
	t := &Topology{File: b.file, Dir: filepath.Dir(b.file), Name: top.string("name")}
	if t.Name == "" {
		t.Name = cmp.Or(toLabel(filepath.Base(t.Dir)), "silo")
	}
	sentry, tunnels, logs := top.get("sentry"), top.get("tunnels"), top.get("logs")
	t.Sentry = b.sentry(t.Dir, sentry)
	t.Tunnels = b.tunnels(t.Dir, tunnels)
	t.Isolation = top.get("isolation").string("regions")
	t.Logs = Logs{Max: sizeOf(logs.get("max")), Keep: logs.integer("keep")}
	silos := b.silos(t.Dir, sentry, tunnels.get("domain"))
	b.ids(silos[1:])
	b.ports(silos)
	b.domains(silos)
	b.addresses(t.Tunnels.Provider, tunnels, silos)
	b.freePlan(t.Tunnels.Provider, tunnels, silos)
	for _, s := range silos {
		b.accessKeys(t.Tunnels.Provider, s)
	}
	t.Control = silos[0].Silo
	for _, s := range silos[1:] {
		t.Regions = append(t.Regions, s.Silo)
	}
	return t
}

func (b *builder) sentry(dir string, s *node) Sentry {
	return Sentry{
		Dir: within(dir, s.string("dir")), Command: s.list("command"), Config: b.config(dir, s), Dialect: b.dialect(s),
		Addresses: s.string("addresses"), Databases: s.string("databases"), Env: s.stringMap("env"),
	}
}

func (b *builder) tunnels(dir string, s *node) Tunnels {
	ngrok := s.get("ngrok")
	t := Tunnels{
		Provider: s.string("provider"), Domain: strings.ToLower(s.string("domain")),
		Ngrok: Ngrok{
			Authtoken: ngrok.string("authtoken"), ServerAddr: ngrok.string("server_addr"),
			RootCAs: ngrok.string("root_cas"), Metadata: ngrok.string("metadata"),
		},
	}
	if t.Ngrok.RootCAs != "" {
		t.Ngrok.RootCAs = within(dir, t.Ngrok.RootCAs)
	}
	return t
}

// within returns path, made absolute relative to dir.
func within(dir, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(dir, path)
}

// confFile is the name of Sentry's settings (22.10.0, sentry/runner/settings.py,
// DEFAULT_SETTINGS_OVERRIDE).
const confFile = "sentry.conf.py"

// config finds the settings as Sentry does: SENTRY_CONF and its default ~/.sentry
// may each be a directory or a file (22.10.0, sentry/runner/settings.py,
// discover_configs).
func (b *builder) config(dir string, s *node) string {
	if path := s.string("config"); path != "" {
		return settingsFile(within(dir, path))
	}
	if path, _ := b.env("SENTRY_CONF"); path != "" {
		if absolute, err := filepath.Abs((&expander{env: b.env}).home(path)); err == nil {
			return settingsFile(absolute)
		}
	}
	home, _ := b.env("HOME")
	if home == "" && b.root.child("sentry").child("config") == nil {
		b.found.add(b.root.at, "sentry.config", "cannot be found without HOME or SENTRY_CONF in the environment", `config = "path/to/sentry.conf.py" in [sentry]`)
	}
	return filepath.Join(home, ".sentry", confFile)
}

// settingsFile returns the settings file for a path that may be its directory. If the path
// does not exist, its name decides which it is.
func settingsFile(path string) string {
	info, err := os.Stat(path)
	switch {
	case err == nil && !info.IsDir():
		return path
	case err != nil && (strings.HasSuffix(path, ".py") || strings.HasSuffix(path, ".conf")):
		return path
	}
	return filepath.Join(path, confFile)
}

func (b *builder) dialect(s *node) string {
	n := s.get("dialect")
	r, err := ParseRelease(n.text())
	if err != nil {
		return n.text()
	}
	if r.Compare(NewestRelease) > 0 {
		text := fmt.Sprintf("release %s is newer than %d.%d, the newest known release, and gets the same dialect", r, NewestRelease.Year, NewestRelease.Month)
		b.warnings.add(n.at, n.path, text, `dialect = "auto"`)
	}
	return r.String()
}

// silos builds control and then the regions by id.
func (b *builder) silos(dir string, sentry, domain *node) []*parsedSilo {
	all := []*parsedSilo{b.silo(dir, "control", b.root.child("control"), controlKeys(), sentry, domain)}
	regions := b.root.get("region")
	for _, name := range regions.names() {
		s := b.silo(dir, name, regions.child(name), regionKeys(), sentry, domain)
		s.ID, s.Category = s.own.integer("id"), s.keys.string("category")
		all = append(all, s)
	}
	slices.SortStableFunc(all[1:], func(x, y *parsedSilo) int { return cmp.Or(cmp.Compare(x.ID, y.ID), cmp.Compare(x.Name, y.Name)) })
	for i, s := range all {
		b.preferPort(s, i)
	}
	return all
}

func (b *builder) silo(dir, name string, own *node, fields []field, sentry, domain *node) *parsedSilo {
	defaults := presets(fields)
	keys := overlay(overlay(defaults, sentry), own)
	s := &parsedSilo{own: own, keys: keys, Silo: Silo{
		Name: name, URL: strings.ToLower(keys.string("url")), HostHeader: keys.string("host_header"),
		BasicAuth: keys.list("basic_auth"), AllowCIDRs: keys.list("allow_cidrs"), TrafficPolicy: b.policy(dir, own.get("traffic_policy")),
		Dir: within(dir, keys.string("dir")), Command: keys.list("command"), Env: own.stringMap("env"), TTY: keys.boolean("tty"), Managed: keys.boolean("managed"),
		Ready:   ready(defaults.get("ready"), keys.get("ready")),
		Restart: b.restart(keys.get("restart")),
		Stop:    Stop{Signal: strings.TrimPrefix(keys.get("stop").string("signal"), "SIG"), Grace: duration(keys.get("stop"), "grace")},
	}}
	s.Watchers = b.watchers(s)
	b.setDomain(s, domain)
	return s
}

// duration is a valid duration.
func duration(table *node, name string) time.Duration {
	length, _ := time.ParseDuration(table.string(name)) // validated before
	return length
}

// ready reads the ready table, which may be false at any level.
func ready(defaults, written *node) Ready {
	keys := overlay(defaults, written)
	return Ready{
		Off: written.value == false, Path: keys.string("path"), Status: keys.integer("status"),
		Timeout: duration(keys, "timeout"), Interval: duration(keys, "interval"),
	}
}

func (b *builder) restart(keys *node) Restart {
	r := Restart{
		Policy: keys.string("policy"), Max: keys.integer("max"), Backoff: duration(keys, "backoff"),
		BackoffMax: duration(keys, "backoff_max"), Window: duration(keys, "window"),
	}
	if r.Backoff <= r.BackoffMax {
		return r
	}
	n := keys.get("backoff_max")
	if n.at.src == nil { // the default
		n = keys.get("backoff")
	}
	b.found.add(n.at, n.path, "backoff "+r.Backoff.String()+" is longer than backoff_max "+r.BackoffMax.String(), assign("backoff_max", quote(r.Backoff.String())))
	return r
}

// watchers reports whether a devserver also runs webpack.
func (b *builder) watchers(s *parsedSilo) bool {
	without := slices.Contains(s.Command, "--no-watchers")
	n := s.keys.get("watchers")
	on, written := n.value.(bool)
	if !written {
		return len(s.Command) > 1 && filepath.Base(s.Command[0]) == "sentry" && s.Command[1] == "devserver" && !without
	}
	if on && without {
		command := s.keys.get("command")
		b.found.add(n.at, n.path, "is true, but "+command.path+" has --no-watchers ("+command.at.from(n.at)+")", `watchers = "auto"`)
	}
	return on
}

// sizeOf is a valid size in bytes.
func sizeOf(n *node) int64 {
	if n.text() == "" {
		return as[int64](n)
	}
	size, _ := parseSize(n.text()) // validated before
	return size
}
