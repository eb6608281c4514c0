package cmd

import (
	"fmt"
	"runtime"

	"github.com/urfave/cli/v2"
)

func (a *app) versionCommand() *cli.Command {
	return &cli.Command{
		Name: "version", Category: categoryMachine, Usage: "Print the version", Action: a.version,
		Description: "version prints the version of silo and of Go, and the platform that it was built for.",
		UsageText:   "silo version\nsilo version --json",
	}
}

func (a *app) version(c *cli.Context) error {
	if c.Command.Name == "version" && c.NArg() > 0 {
		return noArgs(c)
	}
	if c.Bool("json") {
		return writeJSON(a.Stdout, map[string]string{"version": release(), "go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH})
	}
	_, err := fmt.Fprintf(a.Stdout, "silo %s %s %s/%s\n", release(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}
