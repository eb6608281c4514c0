package cmd

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"silo/scaffold"
	"silo/sentry"
	"silo/topology"
)

func (a *app) initCommand() *cli.Command {
	return &cli.Command{
		Name: "init", Category: categoryConfig,
		ArgsUsage: "[NGROK_YML]",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "force", Usage: "overwrite an existing silo.toml, and keep a copy of it"},
			&cli.BoolFlag{Name: "schema", Usage: "also write silo.schema.json, for editors; if silo.toml exists, write only the schema"},
			&cli.BoolFlag{Name: "from-ngrok", Usage: "create a silo for each tunnel in NGROK_YML, or in the ngrok agent's own file"},
		},
		Action: a.init,
	}
}

func (a *app) init(c *cli.Context) error {
	options, err := a.initOptions(c)
	if err != nil {
		return err
	}
	schemaOnly := options.SchemaOnly()
	notes, warnings, err := scaffold.Init(options)
	a.note(notes...)
	if !a.quiet {
		for _, warning := range warnings {
			a.warn(warning)
		}
	}
	if failed, ok := errors.AsType[*scaffold.Error](err); ok {
		return exitWith(exitFailed, failed.Text, failed.Hints...)
	}
	if err != nil || schemaOnly {
		return err
	}
	return a.reviewTopology(c, options.File)
}

func (a *app) initOptions(c *cli.Context) (scaffold.Options, error) {
	o := scaffold.Options{Force: c.Bool("force"), Schema: c.Bool("schema"), FromNgrok: c.Bool("from-ngrok"), Env: a.lookup}
	if o.FromNgrok && c.NArg() > 1 {
		return o, &usageError{text: "silo init --from-ngrok takes one file, but was given " + strings.Join(c.Args().Slice(), ", ")}
	}
	if !o.FromNgrok {
		if err := noArgs(c); err != nil {
			refused, ok := errors.AsType[*usageError](err)
			if name := c.Args().First(); ok && slices.Contains([]string{".yml", ".yaml"}, filepath.Ext(name)) {
				refused.hint = "silo init --from-ngrok " + name + " creates a silo for each of its tunnels"
			}
			return o, err
		}
	}
	dir, err := a.directory(c)
	if err != nil {
		return o, err
	}
	if o.NgrokFile = c.Args().First(); o.NgrokFile != "" && !filepath.IsAbs(o.NgrokFile) {
		o.NgrokFile = filepath.Join(dir, o.NgrokFile)
	}
	o.File = filepath.Join(dir, topology.FileName)
	if c.String("file") != "" {
		o.File, err = a.topologyPath(c)
	}
	return o, err
}

// reviewTopology reports which Sentry was found for a topology, and what `silo up` would
// reject, since its content comes from files that silo did not write.
func (a *app) reviewTopology(c *cli.Context, file string) error {
	choice, err := sentry.Choose(c.Context, "auto", sentry.Finder{
		Dir: filepath.Dir(file), Command: []string{"sentry", "devserver"}, Env: a.lookup, Run: a.capture,
	})
	calls := a.pastable([]string{"silo up --dry-run", "silo up", "silo doctor"})
	next := "next: " + calls[0] + ", then " + calls[1]
	switch {
	case err != nil:
		a.warn(err.Error())
	case choice.Warning != "":
		a.note("no Sentry found (looked in PATH, around " + filepath.Dir(file) + " and in virtual environments)")
		next = "next: " + calls[2] + ", which shows everything that is missing, then " + calls[1]
	default:
		a.note("found " + choice.Found)
	}
	t, err := topology.Load(file, a.lookup)
	if problems, ok := errors.AsType[topology.Problems](err); ok {
		a.messages.Problems(problems)
		a.warn("silo up refuses this topology until that is fixed")
	} else if err != nil {
		return err
	} else if !a.quiet && len(t.Warnings) > 0 {
		a.messages.Warnings(t.Warnings)
	}
	a.note(next)
	return nil
}
