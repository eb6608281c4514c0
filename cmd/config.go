package cmd

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"silo/api"
	"silo/orchestrator"
	"silo/plan"
	"silo/sentry"
	"silo/state"
	"silo/topology"
)

func (a *app) configCommand() *cli.Command {
	return group(&cli.Command{
		Name: "config", Category: categoryConfig,
		Subcommands: []*cli.Command{
			{
				Name: "print", Action: a.configPrint,
				Flags: []cli.Flag{&cli.StringFlag{Name: "dialect", Usage: "print it for `DIALECT`: a release of Sentry, or a name that silo config dialects lists"}},
			},
			{Name: "check", Action: a.configCheck},
			{Name: "write", Action: a.configWrite},
			{Name: "remove", Action: a.configRemove},
			{Name: "rotate", Action: a.configRotate},
			{Name: "dialects", Action: a.configDialects},
		},
	})
}

// regionConfig is a rendered region config and its inputs.
type regionConfig struct {
	sentry.Block

	path    string // of Sentry's configuration file
	dialect string
	found   string // how the dialect was chosen
}

// regionConfig returns the region config of the running instance, or the one that
// `up` would write. If dialect is set, it is rendered in that dialect. An address
// that is not known yet is an error with exit status 4.
func (a *app) regionConfig(c *cli.Context, dialect string) (regionConfig, error) {
	dir, client, snapshot, err := a.running(c)
	if err != nil {
		return regionConfig{}, err
	}
	if client != nil {
		defer client.Close()
		if snapshot.Mode == "monolith" {
			return regionConfig{}, exitWith(exitConflict, "the instance runs as a monolith, which has no region config", "silo down")
		}
		if dialect == "" {
			_, marked, err := client.Config(c.Context)
			if err != nil {
				return regionConfig{}, err
			}
			block, err := sentry.ParseBlock(marked)
			return regionConfig{block, snapshot.Config.Path, snapshot.Dialect, snapshot.Found}, err
		}
	}
	layout, err := a.layout(c, dir, snapshot, dialect)
	if err != nil {
		return regionConfig{}, err
	}
	a.warnOfChoice(layout.Choice)
	return renderRegionConfig(layout)
}

func renderRegionConfig(l *plan.Layout) (regionConfig, error) {
	block, err := l.RegionConfig()
	return regionConfig{block, l.Topology.Sentry.Config, l.Choice.Dialect.Name, l.Choice.Found}, err
}

// running connects to the running instance. client is nil if it is not running. The caller
// closes client.
func (a *app) running(c *cli.Context) (dir *state.Dir, client *api.Client, snapshot *state.Snapshot, err error) {
	if dir, err = a.instanceDir(c); err != nil {
		return nil, nil, nil, err
	}
	client, err = api.Dial(c.Context, dir)
	if errors.Is(err, api.ErrNotRunning) {
		return dir, nil, nil, nil
	}
	if err != nil {
		return nil, nil, nil, err
	}
	if snapshot, err = client.Snapshot(c.Context, false); err != nil {
		client.Close()
		return nil, nil, nil, err
	}
	return dir, client, snapshot, nil
}

// layout returns where the silos of a running instance run, or where `up` would place them
// if snapshot is nil. If dialect is set, the layout is for that dialect. Chosen ports are
// remembered, except for the doctor. It does not check whether they are free.
func (a *app) layout(c *cli.Context, dir *state.Dir, snapshot *state.Snapshot, dialect string) (*plan.Layout, error) {
	var t *topology.Topology
	var err error
	if snapshot != nil {
		t, err = a.topologyOf(dir)
	} else {
		t, err = a.load(c)
	}
	if err != nil {
		return nil, err
	}
	p, err := a.planFor(c, t, dialect, snapshot != nil && snapshot.Mode == "monolith")
	if err != nil {
		return nil, err
	}
	if snapshot != nil {
		return plan.FromSnapshot(p, a.host(dir).NewRun(), snapshot), nil
	}
	layout, err := orchestrator.Predict(c.Context, p, a.host(dir), !a.readOnly)
	if errors.Is(err, plan.ErrUnknownAddress) {
		return nil, exitWith(exitStopped, err.Error(), "silo up opens the tunnels", "domain in silo.toml sets a fixed address")
	}
	return layout, err
}

// runningSnapshot returns the snapshot of the running instance, or nil if it is not
// running.
func (a *app) runningSnapshot(c *cli.Context) (*state.Dir, *state.Snapshot, error) {
	dir, client, snapshot, err := a.running(c)
	if client != nil {
		client.Close()
	}
	return dir, snapshot, err
}

// planFor returns the plan of all silos, for dialect if it is set.
func (a *app) planFor(c *cli.Context, t *topology.Topology, dialect string, monolith bool) (plan.Plan, error) {
	if dialect == "" {
		return a.plan(c.Context, t, monolith, nil)
	}
	t.Sentry.Dialect = dialect
	if dialect != "auto" {
		if _, err := sentry.Choose(c.Context, dialect, sentry.Finder{}); err != nil {
			return plan.Plan{}, &usageError{text: "--dialect: " + err.Error(), hint: "silo config dialects"}
		}
	}
	p, err := a.plan(c.Context, t, monolith, nil)
	p.Choice.Found = strings.Replace(p.Choice.Found, "sentry.dialect in silo.toml", "--dialect", 1)
	return p, err
}

func (a *app) configPrint(c *cli.Context) error {
	r, err := a.regionConfig(c, c.String("dialect"))
	if err != nil {
		return err
	}
	if r.found != "" {
		a.note("dialect " + r.dialect + ": " + r.found)
	}
	return a.print(r.Marked())
}

func (a *app) configWrite(c *cli.Context) error {
	edited, err := a.edited(c)
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // a running instance does not need its topology
		return err
	}
	r, err := a.regionConfig(c, "")
	if err != nil {
		return err
	}
	written, err := a.writeRunning(c)
	if errors.Is(err, api.ErrNotRunning) {
		written, err = a.writeStopped(c, r)
	}
	if err != nil {
		return err
	}
	a.warnOverrides(r.path)
	if written.Replaced != "" {
		a.note(fmt.Sprintf("replaced the region config of %q", written.Replaced))
	}
	if written.Backup != "" {
		a.note("saved the original file as " + written.Backup)
	}
	switch {
	case written.Changed:
		a.note("wrote " + r.path)
	case edited == nil:
		a.note(r.path + " is in step already")
	}
	if edited != nil {
		a.note(r.path + " has the region config of the running instance")
		a.note(edited.changed() + "; apply it with: " + edited.apply())
	}
	return a.awaitReloaded(c, written.Reloading)
}

// writeRunning makes a running supervisor write its region config, so that it knows which
// silos reload it.
func (a *app) writeRunning(c *cli.Context) (api.Written, error) {
	client, err := a.dial(c)
	if err != nil {
		return api.Written{}, err
	}
	defer client.Close()
	return client.WriteConfig(c.Context)
}

// writeStopped writes a region config that no running instance uses.
func (a *app) writeStopped(c *cli.Context, r regionConfig) (api.Written, error) {
	release, err := a.claim(c, r.path)
	if err != nil {
		return api.Written{}, err
	}
	defer release()
	change, err := sentry.Write(c.Context, r.path, r.Block)
	return api.Written{Changed: change.Changed, Replaced: change.Replaced, Backup: change.Backup}, err
}

// awaitReloaded waits until silos that reload the region config are ready.
func (a *app) awaitReloaded(c *cli.Context, reloading []string) error {
	if len(reloading) == 0 {
		return nil
	}
	client, err := a.dial(c)
	if err != nil {
		return err
	}
	defer client.Close()
	a.note("reloading: " + strings.Join(reloading, ", "))
	_, err = a.awaitReady(c.Context, client, reloading)
	return err
}

func (a *app) configRemove(c *cli.Context) error {
	dir, err := a.instanceDir(c)
	if err != nil {
		return err
	}
	if dir.Running() {
		return exitWith(exitConflict, "the instance runs and uses this region config", "silo down")
	}
	t, err := a.topologyOf(dir)
	if err != nil {
		return err
	}
	release, err := a.claim(c, t.Sentry.Config)
	if err != nil {
		return err
	}
	defer release()
	changed, err := sentry.Remove(c.Context, t.Sentry.Config)
	switch {
	case err != nil:
		return err
	case changed:
		a.note("removed silo's block from " + t.Sentry.Config)
	default:
		a.note(t.Sentry.Config + " has no block of silo")
	}
	return nil
}

// configRotate makes new secrets. Running silos keep the old ones until all are
// restarted, because each must accept what the others sign.
func (a *app) configRotate(c *cli.Context) error {
	dir, err := a.instanceDir(c)
	if err != nil {
		return err
	}
	if err := dir.RotateSecrets(); err != nil {
		return err
	}
	running := dir.Running()
	if !running {
		if _, err := dir.RenewSecrets(); err != nil {
			return err
		}
	}
	note := "made new secrets"
	if running {
		note += "; apply them with: silo restart"
	}
	if t, err := a.topologyOf(dir); err == nil {
		p, err := a.plan(c.Context, t, false, nil)
		if d := p.Choice.Dialect; err == nil && !d.Secrets {
			note = fmt.Sprintf("made new secrets, but silos of dialect %s (sentry %s) do not use them", d.Name, d.Range())
		}
	}
	a.note(note)
	return nil
}

// claim prevents overwriting another running instance's region config. If this instance
// runs, its supervisor already has the claim.
func (a *app) claim(c *cli.Context, path string) (release func(), err error) {
	dir, err := a.instanceDir(c)
	if err != nil {
		return nil, err
	}
	file, err := sentry.ReadFile(path)
	if err != nil {
		return nil, err
	}
	claim, err := dir.Claim(c.Context, file.Path)
	if taken := new(state.ClaimedError); errors.As(err, &taken) && taken.Holder == dir.Topology {
		return func() {}, nil
	}
	if err != nil {
		return nil, err
	}
	return func() { _ = claim.Release() }, nil
}

// brokenConfig returns why no region config can be written to a file: it is missing, or its
// markers are damaged. Otherwise it returns nil.
func (a *app) brokenConfig(path string) *exitStatus {
	_, err := sentry.ReadFile(path)
	switch {
	case errors.Is(err, sentry.ErrMissing):
		return &exitStatus{Text: "the region config's file is missing: " + path, Hints: a.classify(err).Hints}
	case errors.Is(err, sentry.ErrMarkers):
		return a.classify(err)
	}
	return nil
}

// dialect is an element of the output of `config dialects --json`.
type dialect struct {
	Name     string  `json:"name"`
	First    string  `json:"first"`
	Last     *string `json:"last"` // null: all later releases too
	Regions  string  `json:"regions"`
	Releases string  `json:"releases"`
}

func (a *app) configDialects(c *cli.Context) error {
	var list []dialect
	for _, d := range sentry.Dialects() {
		one := dialect{Name: d.Name, First: d.First.String(), Regions: d.Form, Releases: d.Range()}
		if _, last, ok := strings.Cut(d.Range(), " to "); ok {
			one.Last = &last
		}
		list = append(list, one)
	}
	if c.Bool("json") {
		return a.printJSON(list)
	}
	table := tabwriter.NewWriter(a.Stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "DIALECT\tSENTRY\tREGIONS ARE WRITTEN AS") // Flush returns the error
	for _, d := range list {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\n", d.Name, d.Releases, d.Regions)
	}
	return table.Flush()
}
