package cmd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"silo/api"
	"silo/logs"
	"silo/plan"
	"silo/state"
	"silo/topology"
	"silo/ui"
)

func (a *app) logsCommand() *cli.Command {
	return &cli.Command{
		Name: "logs", ArgsUsage: "[SILO…]", Category: categoryLook,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "follow", Aliases: []string{"f"}, Usage: "keep printing new lines"},
			&cli.IntFlag{Name: "lines", Aliases: []string{"n", "tail"}, Value: -1, DefaultText: "all", Usage: "print the last `N` lines of each silo"},
			&cli.StringFlag{Name: "since", Usage: "print lines that arrived since `TIME`: a duration before now, or RFC 3339"},
			&cli.StringFlag{Name: "grep", Usage: "print lines that match the regular expression `RE`"},
			&cli.BoolFlag{Name: "timestamps", Aliases: []string{"t"}, Usage: "print when each line arrived"},
			&cli.BoolFlag{Name: "no-prefix", Usage: "omit the name of the silo"},
		},
		Action: a.logs,
	}
}

func (a *app) logs(c *cli.Context) error {
	if err := checkFollow(c); err != nil {
		return err
	}
	dir, err := a.instanceDir(c)
	if err != nil {
		return err
	}
	query, err := a.query(c)
	if err != nil {
		return err
	}
	known := a.logged(dir.Logs(), dir.Topology)
	for _, name := range query.Silos {
		if !slices.Contains(known, name) {
			return &plan.UnknownSiloError{Name: name, Known: known}
		}
	}
	if len(query.Silos) == 0 {
		query.Silos = known
	}
	if err := a.checkLogged(c, dir); err != nil {
		return err
	}
	if _, never := dir.Last(); query.Follow && never == nil && !dir.Running() {
		a.note("nothing is running; waiting for silo up")
	}
	ctx, cancel := a.results.CancelWhenClosed(c.Context)
	defer cancel()
	err = logs.Read(ctx, dir.Logs(), query, a.lineWriter(c, query.Silos))
	if a.results.ReaderClosed() || errors.Is(err, context.Canceled) && query.Follow {
		return nil
	}
	return err
}

// checkLogged fails if the instance has never run, unless --follow waits for it.
func (a *app) checkLogged(c *cli.Context, dir *state.Dir) error {
	_, never := dir.Last()
	switch {
	case len(logs.Silos(dir.Logs())) > 0 || !errors.Is(never, fs.ErrNotExist) || dir.Running():
		return nil
	case isMissing(dir):
		return exitWith(exitStopped, "there are no logs, and "+noTopology(dir), "silo init")
	case c.Bool("follow"):
		a.note("nothing has run yet; waiting for silo up")
		return nil
	}
	return exitWith(exitStopped, "there are no logs: nothing has run yet", "silo up")
}

func (a *app) query(c *cli.Context) (logs.Query, error) {
	q := logs.Query{Silos: c.Args().Slice(), N: c.Int("lines"), Follow: c.Bool("follow"), Plain: ui.StripEscapes}
	if since := c.String("since"); since != "" {
		if back, err := time.ParseDuration(since); err == nil {
			q.Since = time.Now().Add(-back.Abs())
		} else if q.Since, err = time.Parse(time.RFC3339, since); err != nil {
			return q, &usageError{text: fmt.Sprintf("--since %q is not a time", since), hint: "--since 10m, or --since 2026-01-31T12:00:00Z"}
		}
	}
	if expression := c.String("grep"); expression != "" {
		re, err := regexp.Compile(expression)
		if err != nil {
			return q, &usageError{text: "--grep: " + err.Error()}
		}
		q.Grep = re
	}
	return q, nil
}

// logged returns the silos that have logs or are in the topology, in the topology's
// order.
func (a *app) logged(dir, file string) []string {
	var names []string
	if t, err := topology.Load(file, a.lookup); err == nil {
		for _, s := range t.Silos() {
			names = append(names, s.Name)
		}
	}
	return logs.Known(dir, names)
}

// lineWriter returns a function that prints a line in the form of the flags.
func (a *app) lineWriter(c *cli.Context, names []string) func(logs.Line) error {
	if c.Bool("json") {
		lines := a.jsonLines()
		return func(l logs.Line) error {
			return lines.Encode(api.NewLogLine(l, ui.StripEscapes))
		}
	}
	open := "" // the silo whose line is incomplete
	return func(l logs.Line) error {
		var text strings.Builder
		if open != l.Silo && c.Bool("timestamps") {
			text.WriteString(l.At.Format("2006-01-02T15:04:05.000Z07:00") + " ")
		}
		if open != l.Silo && !c.Bool("no-prefix") {
			text.WriteString(a.results.Prefix(l.Silo, names))
		}
		text.Write(a.results.SanitizeLine(l.Text))
		open = l.Silo
		if !l.Partial {
			text.WriteByte('\n')
			open = ""
		}
		return a.print(text.String())
	}
}
