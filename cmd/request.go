package cmd

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"silo/client"
	"silo/plan"
	"silo/sentry"
)

func (a *app) requestCommand() *cli.Command {
	return &cli.Command{
		Name: "request", ArgsUsage: "SILO [METHOD] PATH", Category: categoryRequests,
		Flags: append(callerFlags(),
			&cli.StringSliceFlag{Name: "header", Aliases: []string{"H"}, Usage: "send the header `NAME: VALUE`"},
			&cli.StringSliceFlag{Name: "data", Aliases: []string{"d"}, Usage: "send `BODY`, as JSON unless a header sets another type; @FILE sends a file unchanged, @- standard input"},
			&cli.BoolFlag{Name: "include", Aliases: []string{"i"}, Usage: "print the status line and headers before the body"},
			&cli.BoolFlag{Name: "fail", Usage: "exit 1 if the status is 400 or more; the body is still printed"},
			&cli.StringFlag{Name: "sign", Usage: "sign as Sentry's silos do; `KIND` is rpc or subnet"},
			&cli.DurationFlag{Name: "timeout", DefaultText: "30s until the answer begins", Usage: "give up after `DURATION`, with exit code 124"},
		),
		Action: a.request,
	}
}

// callerFlags returns the flags that request and proxy share.
func callerFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "via", Value: "address", Usage: "`WAY` is address, through the silo's tunnel, or direct, to its backend's own port"},
		&cli.StringFlag{Name: "as", DefaultText: "the silo in whose environment this runs, if any", Usage: "call as `SILO` would; Sentry does not allow every silo to do so"},
	}
}

func (a *app) request(c *cli.Context) error {
	name, request, err := a.parseRequest(c)
	if err != nil {
		return err
	}
	silo, err := a.siloClient(c, name)
	if err != nil {
		return err
	}
	began := time.Now()
	answer, err := silo.Do(c.Context, request)
	if err == nil {
		defer func() { _ = answer.Body.Close() }() // already read, or no longer needed
		err = a.printAnswer(c, name, answer, began)
		if late, ok := errors.AsType[*client.TimeoutError](err); ok {
			err = exitWith(exitTimeout, fmt.Sprintf("the answer from %s at %s did not end in time", late.Silo, late.URL), "set a longer --timeout")
		}
	}
	switch {
	case err != nil && a.results.ReaderClosed():
		return nil // the reader, such as head, has read enough
	case err != nil && c.Err() != nil:
		return c.Err()
	case err == nil && c.Bool("fail") && answer.StatusCode >= http.StatusBadRequest:
		return exitWith(exitFailed, name+" answered "+answer.Status)
	}
	return err
}

// parseRequest returns the silo's name and the request of the command line.
func (a *app) parseRequest(c *cli.Context) (name string, r client.Request, err error) {
	words := c.Args().Slice()
	if len(words) < 2 || len(words) > 3 {
		return "", r, &usageError{text: "silo request takes a silo, an optional method, and a path", hint: "silo request control GET /api/0/"}
	}
	r.Path = words[len(words)-1]
	if len(words) == 3 {
		r.Method = words[1]
	}
	if !strings.HasPrefix(r.Path, "/") {
		return "", r, &usageError{text: fmt.Sprintf("the path %q does not begin with a slash", r.Path), hint: "silo request " + words[0] + " GET /api/0/"}
	}
	// A request line cannot contain these (RFC 9112, section 3.2).
	if i := strings.IndexFunc(r.Path, func(c rune) bool { return c <= ' ' || c == 0x7f || c == '#' }); i >= 0 {
		return "", r, &usageError{text: fmt.Sprintf("the path %q contains the character %q", r.Path, r.Path[i]), hint: fmt.Sprintf("write it as %%%02X", r.Path[i])}
	}
	r.Sign = sentry.Signature(c.String("sign"))
	if r.Body, err = a.requestBody(c); err != nil {
		return "", r, err
	}
	if r.Header, r.Host, err = headers(c.StringSlice("header")); err != nil {
		return "", r, err
	}
	if _, given := r.Header["Authorization"]; given && r.Sign == sentry.SignRPC {
		return "", r, &usageError{text: "--sign rpc sets the header Authorization itself"}
	}
	if _, given := r.Header["Content-Type"]; !given && r.Body != nil && r.Sign != sentry.SignRPC {
		r.Header.Set("Content-Type", "application/json")
	}
	return words[0], r, nil
}

// requestBody returns the body of -d, or nil without it. Multiple values are joined as in
// curl. Unlike curl, it sends files unchanged.
func (a *app) requestBody(c *cli.Context) ([]byte, error) {
	if !c.IsSet("data") {
		return nil, nil
	}
	var parts [][]byte
	for _, value := range c.StringSlice("data") {
		part, err := a.bodyPart(c, value)
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
	}
	return append([]byte{}, bytes.Join(parts, []byte("&"))...), nil // never nil
}

func (a *app) bodyPart(c *cli.Context, value string) ([]byte, error) {
	file, isFile := strings.CutPrefix(value, "@")
	switch {
	case !isFile:
		return []byte(value), nil
	case file == "-":
		part, err := io.ReadAll(a.Stdin)
		if err != nil {
			return nil, fmt.Errorf("read standard input: %w", err)
		}
		return part, nil
	case !filepath.IsAbs(file):
		dir, err := a.directory(c)
		if err != nil {
			return nil, err
		}
		file = filepath.Join(dir, file)
	}
	part, err := os.ReadFile(file)
	if err != nil {
		return nil, &usageError{text: "-d: " + err.Error(), hint: "a body that begins with @ names a file; @- is standard input"}
	}
	return part, nil
}

// headers parses the values of -H as curl does: "Name:" removes a header, and "Name;"
// sends it without a value.
func headers(given []string) (header http.Header, host string, err error) {
	header = http.Header{}
	for _, one := range given {
		name, value, ok := strings.Cut(one, ":")
		if !ok {
			name, value, ok = strings.Cut(one, ";")
			ok = ok && value == ""
		}
		name, sent := http.CanonicalHeaderKey(name), strings.TrimSpace(value)
		switch {
		case !ok || name == "":
			return nil, "", &usageError{text: fmt.Sprintf("-H %q is not a header", one), hint: `-H "Accept: application/json"`}
		case name == "Host":
			host = sent
		case sentry.DropsHeader(name):
			return nil, "", &usageError{text: "-H " + name + ": silo clients do not send that header", hint: "it belongs to one connection, or is set for each request"}
		case sent == "" && strings.Contains(one, ":"):
			header[name] = nil
		default:
			header.Add(name, sent)
		}
	}
	return header, host, nil
}

// siloClient returns a client for a silo of the running instance.
func (a *app) siloClient(c *cli.Context, name string) (*client.Client, error) {
	dir, err := a.instanceDir(c)
	if err != nil {
		return nil, err
	}
	o := client.InstanceOptions(dir)
	o.From = client.CallerFromEnv(a.lookup, dir.Key)
	o.Direct, o.Timeout, o.UserAgent = c.String("via") == "direct", c.Duration("timeout"), "silo/"+release()
	if as := c.String("as"); as != "" {
		snapshot, err := o.Snapshot(c.Context)
		if err != nil {
			return nil, err
		}
		var known []string
		for _, s := range snapshot.Silos {
			known = append(known, s.Name)
			if s.Name == as {
				o.From = client.Caller{Name: s.Name, Mode: s.Mode}
			}
		}
		if !slices.Contains(known, as) {
			return nil, &plan.UnknownSiloError{Name: as, Known: known}
		}
	}
	silo, err := client.New(c.Context, name, o)
	if unknown, ok := errors.AsType[*client.UnknownError](err); ok {
		return nil, &plan.UnknownSiloError{Name: unknown.Name, Known: unknown.Known}
	}
	return silo, err
}

func (a *app) printAnswer(c *cli.Context, name string, answer *client.Response, began time.Time) error {
	if c.Bool("json") {
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			return err
		}
		_, reason, _ := strings.Cut(answer.Status, " ")
		r := response{
			Silo: name, Method: answer.Request.Method, URL: answer.URL, Status: answer.StatusCode, Reason: reason,
			Headers: answer.Header, Duration: time.Since(began).Seconds(),
		}
		r.setBody(body)
		return a.printJSON(r)
	}
	if c.Bool("include") {
		if err := a.printHead(answer.Proto, answer.Status, answer.Header); err != nil {
			return err
		}
	}
	_, err := io.Copy(struct{ io.Writer }{a.Stdout}, answer.Body)
	return err
}

// printHead prints the status line and headers of an answer, and an empty line.
func (a *app) printHead(proto, status string, header http.Header) error {
	var head strings.Builder
	fmt.Fprintf(&head, "%s %s\n", proto, status)
	for _, name := range slices.Sorted(maps.Keys(header)) {
		for _, value := range header[name] {
			fmt.Fprintf(&head, "%s: %s\n", name, value)
		}
	}
	return a.print(head.String() + "\n")
}

// response is an answer as --json prints it, with one of the two bodies.
type response struct {
	Silo     string      `json:"silo"`
	Method   string      `json:"method"`
	URL      string      `json:"url"` // of the answer, after redirects
	Status   int         `json:"status"`
	Reason   string      `json:"reason"`
	Headers  http.Header `json:"headers"`
	Body     *string     `json:"body,omitempty"`
	Base64   *string     `json:"body_base64,omitempty"` // of a body that is not UTF-8
	Duration float64     `json:"duration"`              // in seconds, until its end
}

func (r *response) setBody(body []byte) {
	if utf8.Valid(body) {
		r.Body = new(string(body))
	} else {
		r.Base64 = new(base64.StdEncoding.EncodeToString(body))
	}
}
