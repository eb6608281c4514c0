package topology

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// builder makes a Topology of a checked tree, and checks what concerns more than
// one key: ids, ports, domains, addresses.
type builder struct {
	file     string // absolute
	env      func(string) (string, bool)
	root     *node
	spec     *field
	found    *findings
	warnings *findings
}

// draft is a silo with where it was written.
type draft struct {
	Silo
	node *node // its table, nil for a control that was not written
	keys section
	said *node // what its domain comes from
}

func (d *draft) title() string {
	if d.Name == "control" {
		return "control"
	}
	return "region " + d.Name
}

func (b *builder) build() *Topology {
	top := section{{b.spec.fields, b.root}}
	t := &Topology{File: b.file, Dir: filepath.Dir(b.file), Name: top.text("name")}
	if t.Name == "" {
		t.Name = cmp.Or(toLabel(filepath.Base(t.Dir)), "silo")
	}
	sentry, _ := top.table("sentry")
	tunnels, _ := top.table("tunnels")
	isolation, _ := top.table("isolation")
	logs, _ := top.table("logs")
	t.Sentry = b.sentry(t.Dir, sentry)
	t.Tunnels = b.tunnels(t.Dir, tunnels)
	t.Isolation = isolation.text("regions")
	t.Logs = Logs{Max: logs.bytes("max"), Keep: logs.integer("keep")}
	silos := b.silos(t, top, sentry, tunnels)
	b.ids(silos[1:])
	b.ports(silos)
	b.domains(silos)
	b.addresses(t.Tunnels.Provider, tunnels, silos)
	b.freePlan(t.Tunnels.Provider, tunnels, silos)
	for _, d := range silos {
		b.guards(t.Tunnels.Provider, d)
	}
	t.Control = silos[0].Silo
	for _, d := range silos[1:] {
		t.Regions = append(t.Regions, d.Silo)
	}
	return t
}

func (b *builder) sentry(dir string, s section) Sentry {
	return Sentry{
		Dir: within(dir, s.text("dir")), Command: s.list("command"), Config: b.config(dir, s), Dialect: b.dialect(s),
		Addresses: s.text("addresses"), Databases: s.text("databases"), Managed: s.boolean("managed"), Env: s.strings("env"),
	}
}

func (b *builder) tunnels(dir string, s section) Tunnels {
	ngrok, _ := s.table("ngrok")
	t := Tunnels{
		Provider: s.text("provider"), Domain: strings.ToLower(s.text("domain")),
		Ngrok: Ngrok{
			Authtoken: ngrok.text("authtoken"), ServerAddr: ngrok.text("server_addr"),
			RootCAs: ngrok.text("root_cas"), Metadata: ngrok.text("metadata"),
		},
	}
	if t.Ngrok.RootCAs != "" {
		t.Ngrok.RootCAs = within(dir, t.Ngrok.RootCAs)
	}
	return t
}

// within makes a path absolute that is relative to dir.
func within(dir, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(dir, path)
}

// confFile is what Sentry calls its settings (22.10.0, sentry/runner/settings.py,
// DEFAULT_SETTINGS_OVERRIDE).
const confFile = "sentry.conf.py"

// config finds the settings as Sentry does: SENTRY_CONF and its default ~/.sentry
// may each be a directory or a file (22.10.0, sentry/runner/settings.py,
// discover_configs).
func (b *builder) config(dir string, s section) string {
	if written := s.text("config"); written != "" {
		return settings(within(dir, written))
	}
	if named, _ := b.env("SENTRY_CONF"); named != "" {
		if absolute, err := filepath.Abs((&expander{env: b.env}).home(named)); err == nil {
			return settings(absolute)
		}
	}
	home, _ := b.env("HOME")
	if home == "" && b.root.child("sentry").child("config") == nil {
		b.found.add(place{b.root.src, 0}, "sentry.config", "cannot be found without HOME or SENTRY_CONF in the environment", `config = "path/to/sentry.conf.py" in [sentry]`)
	}
	return filepath.Join(home, ".sentry", confFile)
}

// settings gives the file for a path that may be its directory. What does not
// exist is judged by its name.
func settings(path string) string {
	info, err := os.Stat(path)
	switch {
	case err == nil && !info.IsDir():
		return path
	case err != nil && (strings.HasSuffix(path, ".py") || strings.HasSuffix(path, ".conf")):
		return path
	}
	return filepath.Join(path, confFile)
}

func (b *builder) dialect(s section) string {
	text := s.text("dialect")
	r, rest, ok := parseRelease(text)
	if !ok || rest != "" {
		return text
	}
	if newest, _, _ := parseRelease(NewestRelease); slices.Compare(r[:], newest[:]) > 0 {
		n := s.get("dialect")
		b.warnings.add(n.valuePlace(), n.path(), "release "+r.String()+" is newer than "+NewestRelease+", the newest that is known; it is taken for alike", `dialect = "auto"`)
	}
	return r.String()
}

// silos drafts control and then the regions by id.
func (b *builder) silos(t *Topology, top, sentry, tunnels section) []*draft {
	base := tunnels.get("domain")
	control := b.silo(t, "control", b.root.child("control"), top.field("control").fields, sentry, base)
	drafts := []*draft{control}
	if regions := b.root.child("region"); regions != nil {
		fields := top.field("region").fields
		for _, name := range regions.names {
			d := b.silo(t, name, regions.children[name], fields, sentry, base)
			d.ID, d.Category = d.keys.own().integer("id"), d.keys.own().text("category")
			drafts = append(drafts, d)
		}
	}
	slices.SortStableFunc(drafts[1:], func(x, y *draft) int { return cmp.Or(cmp.Compare(x.ID, y.ID), cmp.Compare(x.Name, y.Name)) })
	for i, d := range drafts {
		b.preferPort(d, i)
	}
	return drafts
}

func (b *builder) silo(t *Topology, name string, n *node, fields []field, sentry section, base *node) *draft {
	d := &draft{node: n, keys: append(section{{fields, n}}, sentry...)}
	own := d.keys.own()
	d.Silo = Silo{
		Name: name, URL: strings.ToLower(own.text("url")), HostHeader: own.text("host_header"),
		BasicAuth: own.list("basic_auth"), AllowCIDRs: own.list("allow_cidrs"), TrafficPolicy: b.policy(t.Dir, own),
		Dir: within(t.Dir, d.keys.text("dir")), Command: d.keys.list("command"), Env: own.strings("env"),
		TTY: d.keys.boolean("tty"),
	}
	d.Watchers = b.watchers(d)
	d.Ready, d.Restart, d.Stop = b.life(d.keys)
	b.domain(d, base)
	return d
}

// life reads how a silo starts and ends.
func (b *builder) life(keys section) (Ready, Restart, Stop) {
	ready, off := keys.table("ready")
	restart, _ := keys.table("restart")
	stop, _ := keys.table("stop")
	r := Restart{
		Policy: restart.text("policy"), Max: restart.integer("max"), Backoff: restart.duration("backoff"),
		BackoffMax: restart.duration("backoff_max"), Window: restart.duration("window"),
	}
	if n := cmp.Or(restart.get("backoff_max"), restart.get("backoff")); n != nil && r.Backoff > r.BackoffMax {
		b.found.add(n.valuePlace(), n.path(), "backoff "+short(r.Backoff)+" is longer than backoff_max "+short(r.BackoffMax), assign("backoff_max", quote(short(r.Backoff))))
	}
	return Ready{
		Off: off, Path: ready.text("path"), Status: ready.integer("status"),
		Timeout: ready.duration("timeout"), Interval: ready.duration("interval"),
	}, r, Stop{Signal: strings.TrimPrefix(stop.text("signal"), "SIG"), Grace: stop.duration("grace")}
}

// watchers tells whether a silo's devserver runs webpack beside its backend.
func (b *builder) watchers(d *draft) bool {
	command := d.Command
	without := slices.Contains(command, "--no-watchers")
	n := d.keys.get("watchers")
	switch {
	case n == nil || n.kind != isBoolean:
		return len(command) > 1 && filepath.Base(command[0]) == "sentry" && command[1] == "devserver" && !without
	case n.text == "true" && without:
		said := d.keys.get("command")
		b.found.add(n.valuePlace(), n.path(), "is true, but "+said.path()+" has --no-watchers ("+said.valuePlace().seenFrom(n.valuePlace())+")", `watchers = "auto"`)
	}
	return n.text == "true"
}
