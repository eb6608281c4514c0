package cmd

import (
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
		Name: "request", Category: categoryRequests, ArgsUsage: "SILO [METHOD] PATH",
		Usage: "make one request to a silo and print the body of its answer, byte for byte as it comes",
		Flags: append(callerFlags(),
			&cli.StringSliceFlag{Name: "header", Aliases: []string{"H"}, Usage: "send the header `NAME: VALUE`"},
			&cli.StringSliceFlag{Name: "data", Aliases: []string{"d"}, Usage: "send `BODY`, as JSON unless a header says otherwise; @FILE sends a file as it is, @- standard input"},
			&cli.BoolFlag{Name: "include", Aliases: []string{"i"}, Usage: "print the answer's status line and headers before its body"},
			&cli.BoolFlag{Name: "fail", Usage: "exit 1 where the status is 400 or more; the body is printed all the same"},
			&cli.StringFlag{Name: "sign", Usage: "sign as Sentry's silos do: `KIND` is rpc or subnet"},
			&cli.DurationFlag{Name: "timeout", DefaultText: "30s until the answer begins", Usage: "give up after `DURATION`, with exit code 124"},
		),
		Action: a.request,
	}
}

// callerFlags are what every silo client of the command line takes.
func callerFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "via", Value: "address", Usage: "`WAY` is address, through the silo's tunnel, or direct, to its backend's own port"},
		&cli.StringFlag{Name: "as", DefaultText: "the silo in whose environment this runs, if any", Usage: "call as `SILO` would, which Sentry does not let every silo do"},
	}
}

func (a *app) request(c *cli.Context) error {
	if err := oneOf("--via", c.String("via"), "address", "direct"); err != nil {
		return err
	}
	if c.IsSet("sign") {
		if err := oneOf("--sign", c.String("sign"), "rpc", "subnet"); err != nil {
			return err
		}
	}
	if c.Duration("timeout") < 0 {
		return &usageError{text: "--timeout cannot be negative"}
	}
	name, request, err := a.requested(c)
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
		defer func() { _ = answer.Body.Close() }() // read, or of no more use
		err = a.printAnswer(c, name, answer, began)
	}
	if c.Err() != nil && err != nil {
		return exitQuietly(exitInterrupted)
	}
	if err == nil && c.Bool("fail") && answer.StatusCode >= http.StatusBadRequest {
		return exitWith(exitFailed, name+" answered "+answer.Status)
	}
	return err
}

// requested is the request that a command line describes.
func (a *app) requested(c *cli.Context) (name string, r client.Request, err error) {
	words := siloArgs(c)
	if len(words) < 2 || len(words) > 3 {
		return "", r, &usageError{text: "silo request takes a silo, a method or none, and a path", hint: "silo request control GET /api/0/"}
	}
	r.Path = words[len(words)-1]
	if len(words) == 3 {
		r.Method = words[1]
	}
	if !strings.HasPrefix(r.Path, "/") {
		return "", r, &usageError{text: fmt.Sprintf("the path %q does not begin with a slash", r.Path), hint: "silo request " + words[0] + " GET /api/0/: the silo's address is put before it"}
	}
	if i := strings.IndexFunc(r.Path, func(c rune) bool { return c <= ' ' || c == 0x7f || c == '#' }); i >= 0 {
		return "", r, &usageError{text: fmt.Sprintf("the path %q holds %s", r.Path, unsendable(r.Path[i])), hint: fmt.Sprintf("it is written %%%02X in a path", r.Path[i])}
	}
	r.Sign = sentry.Signature(c.String("sign"))
	if r.Body, err = a.data(c); err != nil {
		return "", r, err
	}
	r.Header, r.Host, err = headers(c.StringSlice("header"))
	if err != nil {
		return "", r, err
	}
	if _, given := r.Header["Authorization"]; given && r.Sign == sentry.SignRPC {
		return "", r, &usageError{text: "--sign rpc writes the header Authorization itself"}
	}
	if _, given := r.Header["Content-Type"]; !given && r.Body != nil && r.Sign != sentry.SignRPC {
		r.Header.Set("Content-Type", "application/json")
	}
	return words[0], r, nil
}

// unsendable names what a request's line has another meaning for, or none
// (RFC 9112, section 3.2).
func unsendable(c byte) string {
	switch c {
	case ' ':
		return "a space"
	case '#':
		return "a #, which begins what browsers keep to themselves"
	}
	return fmt.Sprintf("the control character %q", c)
}

// data is the body that -d gives; nil without one. Several are joined as curl
// joins them; files, other than curl's, stay as they are.
func (a *app) data(c *cli.Context) ([]byte, error) {
	var body []byte
	for i, given := range c.StringSlice("data") {
		part, err := a.part(c, given)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			body = append(body, '&')
		}
		body = append(body, part...)
	}
	if body == nil && c.IsSet("data") {
		body = []byte{}
	}
	return body, nil
}

func (a *app) part(c *cli.Context, given string) ([]byte, error) {
	file, isFile := strings.CutPrefix(given, "@")
	switch {
	case !isFile:
		return []byte(given), nil
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

// headers reads what -H gives, in curl's words: "Name:" is not to be sent, and
// "Name;" has no value.
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
			return nil, "", &usageError{text: fmt.Sprintf("-H %q is no header", one), hint: `-H "Accept: application/json"`}
		case name == "Host":
			host = sent
		case sentry.DropsHeader(name):
			return nil, "", &usageError{text: "-H " + name + ": silo clients do not send that header", hint: "it belongs to one connection, or is made for each request"}
		case sent == "" && strings.Contains(one, ":"):
			header[name] = nil
		default:
			header.Add(name, sent)
		}
	}
	return header, host, nil
}

// siloClient is a client for one silo of the running instance.
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
		return a.answerJSON(name, answer, began)
	}
	if c.Bool("include") {
		if _, err := io.WriteString(a.Stdout, answerHead(answer.Proto, answer.Status, answer.Header)); err != nil {
			return err
		}
	}
	_, err := io.Copy(struct{ io.Writer }{a.Stdout}, answer.Body)
	return err
}

// answerHead is an answer's status line and headers, and the empty line below them.
func answerHead(proto, status string, header http.Header) string {
	var head strings.Builder
	fmt.Fprintf(&head, "%s %s\n", proto, status)
	for _, name := range slices.Sorted(maps.Keys(header)) {
		for _, value := range header[name] {
			fmt.Fprintf(&head, "%s: %s\n", name, value)
		}
	}
	return head.String() + "\n"
}

// replied is an answer for programs. Just one of the bodies is there.
type replied struct {
	Silo     string      `json:"silo"`
	Method   string      `json:"method"`
	URL      string      `json:"url"` // where the answer came from, behind redirects
	Status   int         `json:"status"`
	Reason   string      `json:"reason"`
	Headers  http.Header `json:"headers"`
	Body     *string     `json:"body,omitempty"`
	Base64   *string     `json:"body_base64,omitempty"` // where it is not UTF-8
	Duration float64     `json:"duration"`              // in seconds, until its end
}

func (a *app) answerJSON(name string, answer *client.Response, began time.Time) error {
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	_, reason, _ := strings.Cut(answer.Status, " ")
	v := replied{
		Silo: name, Method: answer.Request.Method, URL: answer.URL, Status: answer.StatusCode, Reason: reason,
		Headers: answer.Header, Duration: time.Since(began).Seconds(),
	}
	if utf8.Valid(body) {
		v.Body = new(string(body))
	} else {
		v.Base64 = new(base64.StdEncoding.EncodeToString(body))
	}
	return writeJSON(a.Stdout, v)
}
