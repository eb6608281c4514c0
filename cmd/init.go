package cmd

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"silo/sentry"
	"silo/templates"
	"silo/topology"
)

func (a *app) initCommand() *cli.Command {
	return &cli.Command{
		Name:  "init",
		Usage: "write a commented silo.toml for the Sentry that is found here",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "force", Usage: "overwrite a silo.toml that is there"},
			&cli.BoolFlag{Name: "schema", Usage: "write silo.schema.json beside it, for editors"},
		},
		Action: a.init,
	}
}

func (a *app) init(c *cli.Context) error {
	if err := none(c); err != nil {
		return err
	}
	dir, err := a.directory(c)
	if err != nil {
		return err
	}
	file := filepath.Join(dir, "silo.toml")
	if given := c.String("file"); given != "" {
		if file, err = a.find(c); err != nil {
			return err
		}
	}
	content := templates.Topology{Regions: []templates.RegionTable{{Name: "us", ID: 1}, {Name: "eu", ID: 2}}}
	if c.Bool("schema") {
		content.Schema = "./silo.schema.json"
	}
	choice, err := sentry.Choose(c.Context, "auto", sentry.Look{
		Dir: filepath.Dir(file), Command: []string{"sentry", "devserver"}, Env: a.lookup,
		Run: a.capture,
	})
	if err != nil {
		a.talk.Warn(err.Error())
	}
	text, err := content.Text()
	if err != nil {
		return err
	}
	if err := writeNew(file, []byte(text), c.Bool("force")); err != nil {
		return err
	}
	a.note("wrote " + file)
	if c.Bool("schema") {
		if err := writeNew(filepath.Join(filepath.Dir(file), "silo.schema.json"), topology.Schema(), c.Bool("force")); err != nil {
			return err
		}
	}
	if choice.Warning == "" && choice.Found != "" {
		a.note("found " + choice.Found)
	}
	a.note("next: silo up --dry-run, then silo up")
	return nil
}

// writeNew writes a file that is not there yet, or over one with force.
func writeNew(file string, data []byte, force bool) error {
	flags := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if force {
		flags = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	f, err := os.OpenFile(file, flags, 0o644) //nolint:gosec // a topology is for everybody who works on the checkout
	if errors.Is(err, os.ErrExist) {
		return hinted(exitFailed, file+" is there already", "silo init --force overwrites it")
	}
	if err != nil {
		return fmt.Errorf("write the topology: %w", err)
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}
