package cmd

import (
	"context"
	"encoding/base64"
	"net/http"
	"time"

	"github.com/urfave/cli/v2"

	"silo/api"
	"silo/client"
	"silo/state"
	"silo/tunnels"
	"silo/ui"
)

// checkTimeout is the default time limit for one silo.
const checkTimeout = 10 * time.Second

func (a *app) checkCommand() *cli.Command {
	return &cli.Command{
		Name: "check", ArgsUsage: "[SILO…]", Category: categoryLook,
		Flags: []cli.Flag{
			&cli.DurationFlag{Name: "timeout", Value: checkTimeout, Usage: "wait `DURATION` for each silo; all are checked in parallel"},
		},
		Action: a.check,
	}
}

func (a *app) check(c *cli.Context) error {
	if c.Duration("timeout") <= 0 {
		return &usageError{text: "--timeout must be positive"}
	}
	dir, err := a.instanceDir(c)
	if err != nil {
		return err
	}
	supervisor, err := api.Dial(c.Context, dir)
	if err != nil {
		return err
	}
	defer supervisor.Close()
	snapshot, err := supervisor.Snapshot(c.Context, true)
	if err != nil {
		return err
	}
	if _, err := selectSilos(snapshot.Silos, c.Args().Slice()); err != nil {
		return err
	}
	report := client.Check(c.Context, snapshot, client.CheckOptions{
		Only: c.Args().Slice(), Timeout: c.Duration("timeout"), HealthCheck: a.healthChecks(c.Context, dir, snapshot), Logs: dir.Logs(), UserAgent: ui.CheckUserAgent + release(),
	})
	if c.Err() != nil {
		return c.Err()
	}
	if c.Bool("json") {
		err = a.printJSON(report)
	} else {
		a.results.CheckReport(checkReport(report))
		a.warnFailedChecks(report)
	}
	if err == nil && !report.OK {
		return exitQuietly(exitFailed)
	}
	return err
}

// healthChecks returns a function with the health check that the topology sets for each
// silo. It returns nil, which selects Sentry's own, if the topology cannot be loaded.
func (a *app) healthChecks(ctx context.Context, dir *state.Dir, snapshot *state.Snapshot) func(string) client.HealthCheck {
	t, err := a.topologyOf(dir)
	if err != nil {
		a.warn("cannot load the topology, so the check uses Sentry's own health path: " + err.Error())
		return nil
	}
	plan, err := a.plan(ctx, t, snapshot.Mode == "monolith", nil)
	if err != nil {
		return nil
	}
	wanted := map[string]client.HealthCheck{}
	for _, s := range plan.Silos {
		e := client.HealthCheck{Path: s.Ready.Path, Status: s.Ready.Status, Any: s.Ready.Off}
		if len(s.BasicAuth) > 0 && (snapshot.Provider == tunnels.Ngrok || snapshot.Provider == tunnels.Local) {
			e.Header = http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(s.BasicAuth[0]))}}
		}
		wanted[s.Name] = e
	}
	return func(name string) client.HealthCheck { return wanted[name] }
}

// checkReport converts a report for display.
func checkReport(r client.Report) ui.CheckReport {
	c := ui.CheckReport{Config: r.Config.Path, OutOfStep: !r.Config.OK, ConfigHint: r.Config.Hint}
	for _, s := range r.Silos {
		for _, w := range s.Ways {
			row := ui.CheckedWay{Silo: s.Name, Via: w.Via, URL: w.URL, OK: w.OK, Took: seconds(w.Seconds), Error: w.Error, Hint: w.Hint}
			if w.Mode != nil {
				row.Mode = *w.Mode
			}
			if w.Answered != nil {
				row.AnsweredBy = *w.Answered
			}
			for _, step := range w.Steps {
				row.Steps = append(row.Steps, ui.CheckedStep{Name: step.Name, Took: seconds(step.Seconds)})
				if !step.OK {
					row.Failed = step.Name
				}
			}
			c.Ways = append(c.Ways, row)
		}
	}
	return c
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// warnFailedChecks prints hints, which the table includes only on a terminal.
func (a *app) warnFailedChecks(r client.Report) {
	if a.results.Terminal() || a.quiet {
		return
	}
	for _, s := range r.Silos {
		for _, w := range s.Ways {
			if !w.OK {
				a.warn(s.Name+" "+w.Via+": "+w.Error, w.Hint)
			}
		}
	}
}
