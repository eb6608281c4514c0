package cmd

import (
	"fmt"
	"runtime"

	"github.com/urfave/cli/v2"
)

func (a *app) version(c *cli.Context) error {
	if c.Bool("json") {
		return a.printJSON(map[string]string{"version": release(), "go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH})
	}
	return a.print(fmt.Sprintf("silo %s %s %s/%s\n", release(), runtime.Version(), runtime.GOOS, runtime.GOARCH))
}
