package cmd

import (
	"github.com/urfave/cli/v2"

	"silo/state"
)

func (a *app) lsCommand() *cli.Command {
	return &cli.Command{Name: "ls", Usage: "list all instances on this machine", Action: a.ls}
}

func (a *app) ls(c *cli.Context) error {
	if err := none(c); err != nil {
		return err
	}
	instances, err := state.Instances(a.lookup)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		if instances == nil {
			instances = []state.Snapshot{}
		}
		return writeJSON(a.Stdout, instances)
	}
	a.out.Instances(instances)
	return nil
}
