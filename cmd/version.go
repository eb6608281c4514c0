package cmd

import (
	"fmt"
	"runtime"

	"github.com/urfave/cli/v2"
)

func (a *app) version(c *cli.Context) error {
	if c.Bool("json") {
		return writeJSON(a.Stdout, map[string]string{"version": release(), "go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH})
	}
	_, err := fmt.Fprintf(a.Stdout, "silo %s %s %s/%s\n", release(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}
