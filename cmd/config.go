package cmd

import (
	"errors"
	"io"
	"io/fs"
	"strings"

	"github.com/urfave/cli/v2"

	"silo/api"
	"silo/orchestrator"
	"silo/plan"
	"silo/sentry"
	"silo/state"
)

func (a *app) configCommand() *cli.Command {
	sub := func(name, usage string, action cli.ActionFunc, flags ...cli.Flag) *cli.Command {
		return &cli.Command{Name: name, Usage: usage, Flags: flags, Action: func(c *cli.Context) error {
			if err := noArgs(c); err != nil {
				return err
			}
			return action(c)
		}}
	}
	return &cli.Command{
		Name: "config", Category: categoryConfig,
		Usage: "the region config in Sentry's configuration file",
		Subcommands: []*cli.Command{
			sub("print", "print it with its marker lines", a.configPrint, &cli.StringFlag{Name: "dialect", Usage: "as `RELEASE` reads it, or a dialect: " + dialectWords()}),
			sub("check", "exit 3 and show the difference where the file is out of step", a.configCheck),
			sub("write", "write it", a.configWrite),
			sub("remove", "take silo's block out; the rest stays byte for byte", a.configRemove),
			sub("rotate", "make new secrets for what silos ask of one another", a.configRotate),
			sub("dialects", "list the dialects, with the releases of Sentry that speak them", a.configDialects),
		},
		Action: func(*cli.Context) error {
			return &usageError{text: "silo config needs a verb: print, check, write, remove, rotate or dialects"}
		},
	}
}

// region is a region config, and what it was made for.
type region struct {
	sentry.Block

	path    string // of the file that it belongs into
	dialect string
	found   string // which Sentry it is for, and who says so
}

// block is the region config of an instance: the live one where it runs, else
// what `up` would write. It has to be told apart from an address that is not
// known yet, which is exit 4.
func (a *app) block(c *cli.Context) (path string, block sentry.Block, err error) {
	r, err := a.region(c, "")
	return r.path, r.Block, err
}

// region is block, for another dialect where one is given.
func (a *app) region(c *cli.Context, dialect string) (region, error) {
	dir, err := a.instanceDir(c)
	if err != nil {
		return region{}, err
	}
	client, err := api.Dial(c.Context, dir)
	switch {
	case err == nil:
		defer client.Close()
		snapshot, err := client.Snapshot(c.Context, false)
		if err != nil {
			return region{}, err
		}
		return a.liveRegion(c, client, snapshot, dialect, dir)
	case !errors.Is(err, api.ErrNotRunning):
		return region{}, err
	}
	plan, err := a.planAs(c, dialect)
	if err != nil {
		return region{}, err
	}
	place, err := a.foreseePlan(c, plan, dir)
	if err != nil {
		return region{}, err
	}
	return regionOf(place)
}

func regionOf(place *plan.Layout) (region, error) {
	block, err := place.RegionConfig()
	return region{block, place.Topology.Sentry.Config, place.Choice.Dialect.Name, place.Choice.Found}, err
}

func (a *app) liveRegion(c *cli.Context, client *api.Client, snapshot *state.Snapshot, dialect string, dir *state.Dir) (region, error) {
	if snapshot.Mode == "monolith" {
		return region{}, exitWith(exitConflict, "the instance runs as a monolith, which has no region config", "silo down ends it")
	}
	if dialect != "" {
		p, err := a.planAs(c, dialect)
		if err != nil {
			return region{}, err
		}
		return regionOf(plan.FromSnapshot(p, a.host(dir).NewRun(), snapshot))
	}
	_, marked, err := client.Config(c.Context)
	if err != nil {
		return region{}, err
	}
	block, err := sentry.ParseBlock(marked)
	return region{block, snapshot.Config.Path, snapshot.Dialect, snapshot.Found}, err
}

// planAs is the plan of all silos, for another dialect where one is given.
func (a *app) planAs(c *cli.Context, dialect string) (plan.Plan, error) {
	t, err := a.load(c)
	if err != nil {
		return plan.Plan{}, err
	}
	if dialect != "" {
		if t.Sentry.Dialect = dialect; dialect != "auto" {
			if _, err := sentry.Choose(c.Context, dialect, sentry.Finder{}); err != nil {
				return plan.Plan{}, &usageError{text: "--dialect: " + err.Error(), hint: "silo config dialects lists them"}
			}
		}
	}
	plan, err := a.plan(c.Context, t, false, nil)
	if dialect != "" {
		plan.Choice.Found = strings.Replace(plan.Choice.Found, "sentry.dialect in silo.toml", "--dialect", 1)
	}
	return plan, err
}

// foresee places all silos without opening anything.
func (a *app) foresee(c *cli.Context, dir *state.Dir) (*plan.Layout, error) {
	plan, err := a.planAs(c, "")
	if err != nil {
		return nil, err
	}
	return a.foreseePlan(c, plan, dir)
}

func (a *app) foreseePlan(c *cli.Context, p plan.Plan, dir *state.Dir) (*plan.Layout, error) {
	place, err := orchestrator.Preview(c.Context, p, a.host(dir))
	if errors.Is(err, plan.ErrUnknownAddress) {
		return nil, exitWith(exitStopped, err.Error(), "silo up opens the tunnels", "domain in silo.toml fixes an address")
	}
	return place, err
}

func (a *app) configPrint(c *cli.Context) error {
	r, err := a.region(c, c.String("dialect"))
	if err != nil {
		return err
	}
	if r.found != "" {
		a.note("the region config is in dialect " + r.dialect + ": " + r.found)
	}
	_, err = io.WriteString(a.Stdout, r.Marked())
	return err
}

func (a *app) configWrite(c *cli.Context) error {
	edited, err := a.edited(c)
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // what runs can do without its topology
		return err
	}
	path, block, err := a.block(c)
	if err != nil {
		return err
	}
	release, err := a.claim(c, path)
	if err != nil {
		return err
	}
	defer release()
	change, err := sentry.Write(c.Context, path, block)
	if err != nil {
		return err
	}
	if change.Replaced != "" {
		a.note("replaced the region config of \"" + change.Replaced + "\"")
	}
	if change.Backup != "" {
		a.note("the file as it was is kept as " + change.Backup)
	}
	switch {
	case change.Changed:
		a.note("wrote " + path)
	case edited == nil:
		a.note(path + " is in step already")
	}
	if edited != nil {
		mend := "silo up applies it"
		if edited.whole != nil {
			mend = "silo down, then silo up, applies it"
		}
		a.note(path + " has the region config of what runs: " + edited.file + " has changed since, and " + mend)
	}
	return nil
}

func (a *app) configRemove(c *cli.Context) error {
	dir, err := a.instanceDir(c)
	if err != nil {
		return err
	}
	if dir.Running() {
		return exitWith(exitConflict, "the instance runs, and its silos read this region config", "silo down ends it")
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
		a.note("took silo's block out of " + t.Sentry.Config)
	default:
		a.note("there is no block of silo's in " + t.Sentry.Config)
	}
	return nil
}

// configRotate makes new secrets. Silos that run go on with theirs until all of
// them are started again: what one signs, another has to accept.
func (a *app) configRotate(c *cli.Context) error {
	dir, err := a.instanceDir(c)
	if err != nil {
		return err
	}
	if err := dir.RotateSecrets(); err != nil {
		return err
	}
	if dir.Running() {
		a.note("made new secrets; silo restart starts all silos again with them")
		return nil
	}
	if _, err := dir.RenewSecrets(); err != nil {
		return err
	}
	a.note("made new secrets")
	return nil
}

// claim makes sure that no other running instance's region config is written
// over. This instance's own supervisor holds the claim while it runs.
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

// brokenConfig tells what is wrong with a region config's file that no region config
// can be written into: it is missing, or its marker lines are. Nil: it can.
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
