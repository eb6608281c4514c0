package cmd

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/urfave/cli/v2"

	"silo/client"
	"silo/traffic"
	"silo/ui"
)

func (a *app) replayCommand() *cli.Command {
	return &cli.Command{
		Name: "replay", ArgsUsage: "ID", Category: categoryRequests,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "to", DefaultText: "the original silo", Usage: "send it to `SILO`"},
			&cli.BoolFlag{Name: "include", Aliases: []string{"i"}, Usage: "print the status line and headers before the body"},
		},
		Action: a.replay,
	}
}

func (a *app) replay(c *cli.Context) error {
	words := c.Args().Slice()
	if len(words) != 1 {
		return &usageError{text: "silo replay takes the ID of one request", hint: "silo requests"}
	}
	id, err := strconv.ParseUint(words[0], 10, 64)
	if err != nil {
		return &usageError{text: fmt.Sprintf("%q is not the ID of a request", words[0]), hint: "silo requests"}
	}
	supervisor, err := a.dial(c)
	if err != nil {
		return err
	}
	defer supervisor.Close()
	e, err := supervisor.Replay(c.Context, id, c.String("to"))
	if c.Err() != nil && err != nil {
		return c.Err()
	}
	if err != nil {
		return err
	}
	if e.Fault != nil {
		return &client.TunnelError{Silo: e.Silo, URL: e.URL(), Status: e.Status, Code: *e.Fault}
	}
	if e.Status == 0 {
		text := e.Silo + " did not answer"
		if e.Error != nil {
			text += ": " + *e.Error
		}
		return exitWith(exitFailed, text, fmt.Sprintf("silo requests %d shows the request", e.ID))
	}
	if err := a.printReplay(c, e); err != nil && !a.results.ReaderClosed() {
		return err
	}
	return nil
}

func (a *app) printReplay(c *cli.Context, e traffic.Exchange) error {
	body, reason := e.Response.Body, http.StatusText(e.Status)
	if e.Response.Truncated {
		a.warn(fmt.Sprintf("only the first %s of %s are recorded", ui.Bytes(int64(len(body))), ui.Bytes(e.Response.Bytes)), "silo request prints a whole answer")
	}
	if c.Bool("json") {
		r := replayed{ID: e.ID, ReplayOf: e.ReplayOf, Truncated: e.Response.Truncated, response: response{
			Silo: e.Silo, Method: e.Method, URL: e.URL(), Status: e.Status, Reason: reason, Headers: e.Response.Header,
		}}
		if e.Total != nil {
			r.Duration = *e.Total
		}
		r.setBody(body)
		return a.printJSON(r)
	}
	if c.Bool("include") {
		if err := a.printHead(e.Proto, fmt.Sprintf("%d %s", e.Status, reason), e.Response.Header); err != nil {
			return err
		}
	}
	return a.print(string(body))
}

// replayed is the result of a replay as --json prints it.
type replayed struct {
	ID       uint64  `json:"id"`
	ReplayOf *uint64 `json:"replay_of"`
	response
	Truncated bool `json:"truncated"`
}
