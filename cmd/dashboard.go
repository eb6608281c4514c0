package cmd

import (
	"context"
	"os"
	"runtime"

	"github.com/urfave/cli/v2"

	"silo/api"
	"silo/proc"
)

func (a *app) dashboardCommand() *cli.Command {
	return &cli.Command{
		Name: "dashboard", Category: categoryLook,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "no-open", Usage: "only print the URL"},
		},
		Action: a.dashboard,
	}
}

func (a *app) dashboard(c *cli.Context) error {
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
		return a.printJSON(map[string]string{"url": url})
	}
	if err := a.print(url + "\n"); err != nil {
		return err
	}
	if c.Bool("no-open") || !a.results.Terminal() {
		return nil
	}
	a.openBrowser(c.Context, client)
	return nil
}

// openBrowser opens the dashboard if there is a desktop. The URL has been printed, so a
// failure is ignored.
func (a *app) openBrowser(ctx context.Context, client *api.Client) {
	if a.opener(runtime.GOOS) == "" {
		return
	}
	if address, err := client.OneTimeDashboardURL(ctx); err == nil {
		a.openAddress(address)
	}
}

// openAddress opens an address in a browser, if there is a desktop.
func (a *app) openAddress(address string) {
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
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return
	}
	defer func() { _ = null.Close() }() // the browser has a copy
	if _, err := proc.Detach([]string{opener, address}, a.Environ, wd, null, nil); err == nil {
		a.note("opened in the browser")
	}
}

// opener returns the program that opens a URL, or "" if there is no desktop or the
// user is logged in over SSH.
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
