package cmd

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/urfave/cli/v2"

	"silo/api"
	"silo/orchestrator"
	"silo/traffic"
)

func (a *app) requestsCommand() *cli.Command {
	return &cli.Command{
		Name: "requests", ArgsUsage: "[SILO|ID…]", Category: categoryRequests,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "follow", Aliases: []string{"f"}, Usage: "keep printing new requests, each once it has ended"},
			&cli.IntFlag{Name: "number", Aliases: []string{"n"}, Value: 100, Usage: "print the last `N`; 0 for all"},
			&cli.StringSliceFlag{Name: "silo", Usage: "only requests to the silo `NAME`"},
			&cli.StringFlag{Name: "from", Usage: "only requests from `NAME`: a silo, a program, or outside"},
			&cli.StringFlag{Name: "method", Usage: "only requests with `METHOD`"},
			&cli.StringFlag{Name: "path", Usage: "only requests with `TEXT` in path or query"},
			&cli.StringFlag{Name: "status", Usage: "only answers with `STATUS`: 404, 5xx, 300-399, or several with commas"},
			&cli.BoolFlag{Name: "crossing", Usage: "only requests from one region to another, which do not work in production"},
			&cli.BoolFlag{Name: "har", Usage: "print all as HAR 1.2, which browsers' developer tools can import"},
		},
		Action: a.requests,
	}
}

func (a *app) requests(c *cli.Context) error {
	if err := checkFollow(c); err != nil {
		return err
	}
	id, one, err := requestID(c)
	if err != nil {
		return err
	}
	filter, n, err := requestFilter(c)
	if err != nil {
		return err
	}
	client, err := a.dial(c)
	if err != nil {
		return err
	}
	defer client.Close()
	switch {
	case one:
		return a.oneRequest(c, client, id)
	case c.Bool("har"):
		text, err := client.HAR(c.Context, filter, n)
		if err == nil {
			_, err = a.Stdout.Write(text)
		}
		return err
	case c.Bool("follow"):
		return a.followRequests(c, client, filter, n)
	}
	list, _, err := client.Requests(c.Context, filter, n)
	if err != nil {
		return err
	}
	if !c.Bool("json") {
		a.results.Requests(list)
		return nil
	}
	lines := a.jsonLines()
	for _, e := range list {
		if err := lines.Encode(e); err != nil {
			return err
		}
	}
	return nil
}

// dial connects to the running instance.
func (a *app) dial(c *cli.Context) (*api.Client, error) {
	dir, err := a.instanceDir(c)
	if err != nil {
		return nil, err
	}
	return api.Dial(c.Context, dir)
}

// requestID returns the ID on the command line, and reports whether there is one. A
// silo whose name is a number must be given by --silo.
func requestID(c *cli.Context) (id uint64, one bool, err error) {
	words := c.Args().Slice()
	for _, word := range words {
		number, err := strconv.ParseUint(word, 10, 64)
		if err != nil {
			continue
		}
		id, one = number, true
	}
	if !one {
		return 0, false, nil
	}
	if len(words) > 1 {
		return 0, false, &usageError{text: "silo requests shows one request in full at a time", hint: "silo requests " + strconv.FormatUint(id, 10)}
	}
	for _, name := range []string{"follow", "number", "silo", "from", "method", "path", "status", "crossing"} {
		if c.IsSet(name) {
			return 0, false, &usageError{text: fmt.Sprintf("--%s cannot be used with the ID of a request, %d", name, id)}
		}
	}
	return id, true, nil
}

// requestFilter returns the filter of the flags, and how many requests to print. HAR
// has all unless -n is set.
func requestFilter(c *cli.Context) (f traffic.Filter, n int, err error) {
	f = traffic.Filter{
		Silos: append(c.Args().Slice(), c.StringSlice("silo")...), From: c.String("from"), Method: c.String("method"),
		Path: c.String("path"), Crossing: c.Bool("crossing"),
	}
	if f.Statuses, err = traffic.ParseStatuses(c.String("status")); err != nil {
		return f, 0, &usageError{text: "--" + err.Error(), hint: statusHint}
	}
	for _, r := range f.Statuses { // HTTP has no others (RFC 9110, section 15)
		if r.From < 100 || r.To > 599 {
			return f, 0, &usageError{text: fmt.Sprintf("--status %q: statuses are from 100 to 599", c.String("status")), hint: statusHint}
		}
	}
	n = c.Int("number")
	switch {
	case c.Bool("har") && c.Bool("follow"):
		return f, 0, &usageError{text: "--har cannot be used with --follow"}
	case c.Bool("har") && !c.IsSet("number"):
		n = 0
	}
	return f, n, nil
}

const statusHint = "--status 5xx, --status 404,500-599"

func (a *app) oneRequest(c *cli.Context, client *api.Client, id uint64) error {
	if c.Bool("har") {
		text, err := client.ExchangeHAR(c.Context, id)
		if err == nil {
			_, err = a.Stdout.Write(text)
		}
		return err
	}
	e, err := client.Exchange(c.Context, id)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return a.printJSON(e)
	}
	a.results.Exchange(e)
	return nil
}

func (a *app) followRequests(c *cli.Context, client *api.Client, filter traffic.Filter, n int) error {
	show, err := a.liveRequests(c, client)
	if err != nil {
		return err
	}
	ctx, cancel := a.results.CancelWhenClosed(c.Context)
	defer cancel()
	var writeErr error
	err = client.FollowRequests(ctx, filter, n, func(e traffic.Exchange) bool { writeErr = show(e); return writeErr == nil })
	switch {
	case errors.Is(err, context.Canceled), a.results.ReaderClosed():
		return nil
	case writeErr != nil:
		return writeErr
	case errors.Is(err, api.ErrNotRunning):
		return exitQuietly(exitStopped)
	}
	return err
}

// liveRequests returns a function that prints one exchange.
func (a *app) liveRequests(c *cli.Context, client *api.Client) (func(traffic.Exchange) error, error) {
	if c.Bool("json") {
		lines := a.jsonLines()
		return func(e traffic.Exchange) error { return lines.Encode(e) }, nil
	}
	snapshot, err := client.Snapshot(c.Context, false)
	if err != nil {
		return nil, err
	}
	names := []string{traffic.Caller{}.Name()}
	for _, s := range snapshot.Silos {
		names = append(names, s.Name)
	}
	table := a.results.LiveRequests(names)
	return func(e traffic.Exchange) error { table.Add(e); return a.results.WriteError() }, nil
}

// unsent returns the exit status for a request that cannot be shown or sent again.
func unsent(err error) *exitStatus {
	if errors.Is(err, orchestrator.ErrNotKept) {
		return &exitStatus{Code: exitFailed, Text: err.Error(), Hints: []string{"silo requests lists the recorded ones"}}
	}
	if no, ok := errors.AsType[*orchestrator.UnrepeatableError](err); ok {
		return &exitStatus{Code: exitFailed, Text: no.Error(), Hints: []string{fmt.Sprintf("silo requests %d shows it; silo request makes a new one", no.ID)}}
	}
	return nil
}
