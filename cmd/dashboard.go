package cmd

import (
	"context"
	"fmt"
	"os"
	"runtime"

	"github.com/urfave/cli/v2"

	"silo/api"
	"silo/proc"
)

func (a *app) dashboardCommand() *cli.Command {
	return &cli.Command{
		Name: "dashboard", Category: categoryLook,
		Usage: "print the address of the instance's page, and open it in a browser",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "no-open", Usage: "print the address alone"},
		},
		Action: a.dashboard,
	}
}

func (a *app) dashboard(c *cli.Context) error {
	if err := noArgs(c); err != nil {
		return err
	}
	client, err := a.dial(c)
	if err != nil {
		return err
	}
	defer client.Close()
	url, err := client.DashboardURL(c.Context)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return writeJSON(a.Stdout, struct {
			URL string `json:"url"`
		}{url})
	}
	if _, err := fmt.Fprintln(a.Stdout, url); err != nil {
		return err
	}
	if c.Bool("no-open") || !a.results.Terminal() {
		return nil
	}
	a.browse(c.Context, client)
	return nil
}

// browse opens the page where there is a screen to open it on. The address has
// been printed: that it cannot be opened is no failure.
func (a *app) browse(ctx context.Context, client *api.Client) {
	opener := a.opener(runtime.GOOS)
	if opener == "" {
		return
	}
	wd, err := os.Getwd()
	if err != nil {
		return
	}
	if _, err := proc.Find(opener, wd, a.Environ); err != nil {
		return
	}
	address, err := client.OneTimeDashboardURL(ctx)
	if err != nil {
		return
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return
	}
	defer func() { _ = null.Close() }() // the browser has its own
	if _, err := proc.Detach([]string{opener, address}, a.Environ, wd, null, nil); err == nil {
		a.note("opened in the browser")
	}
}

// opener is the program that opens an address on this system, or nothing where it
// would open it on no screen, or on one that the user does not sit at.
func (a *app) opener(system string) string {
	set := func(names ...string) bool {
		for _, name := range names {
			if value, _ := a.lookup(name); value != "" {
				return true
			}
		}
		return false
	}
	if browser, _ := a.lookup("BROWSER"); browser == "none" {
		return ""
	}
	switch {
	case system == "darwin" && !set("SSH_CONNECTION", "SSH_TTY"):
		return "open"
	case system != "darwin" && set("DISPLAY", "WAYLAND_DISPLAY"):
		return "xdg-open"
	}
	return ""
}
