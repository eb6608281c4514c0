package cmd

import (
	"path/filepath"
	"slices"

	"github.com/urfave/cli/v2"

	"silo/plan"
	"silo/state"
)

// selectSilos returns the named silos in the order of all, or all if none is named.
func selectSilos(all []state.Silo, names []string) ([]state.Silo, error) {
	if len(names) == 0 {
		return all, nil
	}
	var known []string
	for _, s := range all {
		known = append(known, s.Name)
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return nil, &plan.UnknownSiloError{Name: name, Known: known}
		}
	}
	return slices.DeleteFunc(slices.Clone(all), func(s state.Silo) bool { return !slices.Contains(names, s.Name) }), nil
}

// checkFollow returns an error if -f was meant to name a topology, in a verb where it
// means --follow.
func checkFollow(c *cli.Context) error {
	for _, name := range c.Args().Slice() {
		if c.Bool("follow") && filepath.Ext(name) == ".toml" {
			return &usageError{
				text: "-f means --follow here, and " + name + " is not a silo",
				hint: c.Command.HelpName + " --file " + name,
			}
		}
	}
	return nil
}
