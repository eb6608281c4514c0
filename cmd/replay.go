package cmd

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"silo/client"
	"silo/traffic"
	"silo/ui"
)

func (a *app) replayCommand() *cli.Command {
	return &cli.Command{
		Name: "replay", Category: categoryRequests, ArgsUsage: "ID",
		Usage: "make a request that passed a tunnel once more, and print the body of the answer as silo request does",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "to", DefaultText: "the silo that it was for", Usage: "make it of `SILO`"},
			&cli.BoolFlag{Name: "include", Aliases: []string{"i"}, Usage: "print the answer's status line and headers before its body"},
		},
		Action: a.replay,
	}
}

func (a *app) replay(c *cli.Context) error {
	words := siloArgs(c)
	if len(words) != 1 {
		return &usageError{text: "silo replay takes the number of one request", hint: "silo requests lists them"}
	}
	id, err := strconv.ParseUint(words[0], 10, 64)
	if err != nil {
		return &usageError{text: fmt.Sprintf("%q is not the number of a request", words[0]), hint: "silo requests lists them"}
	}
	supervisor, err := a.dial(c)
	if err != nil {
		return err
	}
	defer supervisor.Close()
	e, err := supervisor.Replay(c.Context, id, c.String("to"))
	if c.Err() != nil && err != nil {
		return exitQuietly(exitInterrupted)
	}
	if err != nil {
		return err
	}
	if err := unheard(e); err != nil {
		return err
	}
	return a.printReplay(c, e)
}

// unheard is why an exchange has no answer of its silo, if it has none.
func unheard(e traffic.Exchange) error {
	switch {
	case e.Fault != nil:
		return &client.TunnelError{Silo: e.Silo, URL: e.URL(), Status: e.Status, Code: *e.Fault}
	case e.Status == 0 && e.Error != nil:
		return exitWith(exitFailed, e.Silo+" gave no answer: "+*e.Error, fmt.Sprintf("silo requests %d shows what was sent", e.ID))
	case e.Status == 0:
		return exitWith(exitFailed, e.Silo+" gave no answer", fmt.Sprintf("silo requests %d shows what was sent", e.ID))
	}
	return nil
}

func (a *app) printReplay(c *cli.Context, e traffic.Exchange) error {
	if e.Response.Truncated {
		a.messages.Warn(fmt.Sprintf("the first %s of %s that came are kept", ui.Bytes(int64(len(e.Response.Body))), ui.Bytes(e.Response.Bytes)), "silo request shows all of an answer")
	}
	if c.Bool("json") {
		return writeJSON(a.Stdout, replayedOf(e))
	}
	if c.Bool("include") {
		head := answerHead(e.Proto, fmt.Sprintf("%d %s", e.Status, http.StatusText(e.Status)), e.Response.Header)
		if _, err := io.WriteString(a.Stdout, head); err != nil {
			return err
		}
	}
	_, err := a.Stdout.Write(e.Response.Body)
	return err
}

// replayed is what came of a replay, for programs: what replied is, and which
// requests it is about.
type replayed struct {
	ID       uint64  `json:"id"`
	ReplayOf *uint64 `json:"replay_of"`
	replied
	Truncated bool `json:"truncated"` // the body is only the beginning of what came
}

func replayedOf(e traffic.Exchange) replayed {
	v := replayed{ID: e.ID, ReplayOf: e.ReplayOf, Truncated: e.Response.Truncated, replied: replied{
		Silo: e.Silo, Method: e.Method, URL: e.URL(), Status: e.Status, Reason: http.StatusText(e.Status), Headers: e.Response.Header,
	}}
	if e.Total != nil {
		v.Duration = *e.Total
	}
	if utf8.Valid(e.Response.Body) {
		v.Body = new(string(e.Response.Body))
	} else {
		v.Base64 = new(base64.StdEncoding.EncodeToString(e.Response.Body))
	}
	return v
}
