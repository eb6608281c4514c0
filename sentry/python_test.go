package sentry

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// unliteral makes Python parse one literal per line and print its value in hexadecimal.
const unliteral = `
import ast, sys
for line in sys.stdin:
    value = ast.literal_eval(line)
    assert isinstance(value, str) and ast.literal_eval(repr(value)) == value
    print(value.encode("utf-8", "surrogateescape").hex(), flush=True)
`

// python is a Python 3 process that answers each line with a line.
type python struct {
	in      io.Writer
	answers *bufio.Reader
	trouble *strings.Builder
}

// startPython runs the first Python 3 in PATH until the test ends.
func startPython(t *testing.T, args ...string) *python {
	t.Helper()
	name, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3 in PATH")
	}
	process := exec.Command(name, args...)
	p := &python{trouble: &strings.Builder{}}
	in, inErr := process.StdinPipe()
	out, outErr := process.StdoutPipe()
	process.Stderr = p.trouble
	if inErr != nil || outErr != nil || process.Start() != nil {
		t.Fatal("start python3", inErr, outErr)
	}
	p.in, p.answers = in, bufio.NewReader(out)
	t.Cleanup(func() {
		if err := errors.Join(in.Close(), process.Wait()); err != nil {
			t.Error(err, p.trouble)
		}
	})
	return p
}

// failing is implemented by testing.T and rapid.T.
type failing interface {
	Fatalf(format string, args ...any)
}

func (p *python) ask(t failing, line string) string {
	if _, err := io.WriteString(p.in, line+"\n"); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	answer, err := p.answers.ReadString('\n')
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return strings.TrimSpace(answer)
}

func TestPyString(t *testing.T) {
	t.Parallel()
	python := startPython(t, "-c", unliteral)
	check := func(t failing, s string) {
		literal := pyString(s)
		if strings.ContainsFunc(literal, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Fatalf("%q: not printable ASCII: %q", s, literal)
		}
		if answer := python.ask(t, literal); answer != hex.EncodeToString([]byte(s)) {
			t.Fatalf("%q as %s means %s", s, literal, answer)
		}
	}
	for _, s := range []string{
		"", "plain", `"`, `'''`, `"""`, `\`, `\"`, `\x41`, "\n", "\r\n", "\x00", "\x7f", "é", "\u2028", "\ufeff", "😀", "\U0010ffff",
		"\xff", "a\xc3", "\xed\xa0\x80", "{x}", "%s", `\N{BULLET}`, "#", "\"); import os; (\"",
	} {
		check(t, s)
	}
	rapid.Check(t, func(t *rapid.T) { check(t, anyText().Draw(t, "s")) })
}

// anyText generates arbitrary bytes, most of them text.
func anyText() *rapid.Generator[string] {
	return rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }), rapid.SampledFrom([]string{
		`"`, `'''`, "\n", "\r\n# <<< silo <<<\n", `\`, `{x}`, "\"); import os; (\"", "us-west", "\u2028", "{{.}}", "%s",
	}))
}

// defined contains the settings that a region config defines; text is in hexadecimal.
type defined struct {
	Regions                                     [][]any
	Gateway                                     []string // addresses that control forwards to, if they differ from the regions' URLs for browsers
	Single, Snowflake                           bool
	Control, Fallback, Prefix, Template, Cookie string
	Hosts, Origins                              []string
}

// run executes a region config in Python.
func (p *python) run(t failing, b Block, mode string, django int) defined {
	job, err := json.Marshal(map[string]any{"text": b.Marked(), "mode": mode, "django": django})
	if err != nil {
		t.Fatalf("%v", err)
	}
	var got defined
	if err := json.Unmarshal([]byte(p.ask(t, string(job))), &got); err != nil {
		t.Fatalf("%v", err)
	}
	return got
}

// defines returns the settings that c should define.
func (c Config) defines(mode string, django int) defined {
	text := func(s string) string { return hex.EncodeToString([]byte(s)) }
	all := func(list []string) []string {
		out := []string{}
		for _, s := range list {
			out = append(out, text(s))
		}
		return out
	}
	p := c.public()
	want := defined{
		Regions: [][]any{}, Gateway: []string{}, Prefix: text(p.URLPrefix), Cookie: text(p.CookieDomain),
		Hosts: all(p.Hosts), Origins: all(p.Origins), Single: mode == "MONOLITH",
	}
	if django < 4 {
		want.Origins = all(p.OriginHosts)
	}
	if len(c.Dialect.Fallback) > 0 {
		want.Fallback = text(c.Regions[0].Name)
	}
	if mode == "MONOLITH" {
		if len(c.Dialect.Fallback) > 0 { // otherwise Sentry reads no region
			for _, r := range append(c.Regions, Region{Name: "--monolith--", ID: c.Regions[0].ID, Category: c.Regions[0].Category}) {
				want.Regions = append(want.Regions, []any{text(r.Name), float64(r.ID), text(c.publicURLs()[0]), r.Category})
			}
		}
		return want
	}
	want.Control, want.Template, want.Snowflake = text(c.ControlURL), text(p.URLTemplate), c.PerSilo
	for _, r := range c.Regions {
		want.Regions = append(want.Regions, []any{text(r.Name), float64(r.ID), text(r.URL), r.Category})
		if c.Dialect.PublicGateway && mode == "CONTROL" {
			want.Gateway, want.Template = append(want.Gateway, text(r.URL)), text("{region}")
		}
	}
	return want
}

// anyConfig generates a Config with arbitrary unique names and addresses.
func anyConfig() *rapid.Generator[Config] {
	address := rapid.OneOf(anyText(), rapid.SampledFrom([]string{"https://us.acme.ngrok.app", "https://acme.ngrok.app", "http://127.0.0.1:1", "https://a.b.example.com:8443", "http://[::1]:1"}))
	return rapid.Custom(func(t *rapid.T) Config {
		c := Config{
			Instance: anyText().Draw(t, "instance"), File: anyText().Draw(t, "file"),
			ControlURL: address.Draw(t, "control"), ControlPublic: address.Draw(t, "public"),
			Dialect: rapid.SampledFrom(Dialects()).Draw(t, "dialect"), Workers: rapid.Bool().Draw(t, "workers"), PerSilo: rapid.Bool().Draw(t, "per silo"),
		}
		c.Dialect.Minimal = false // the golden files cover Minimal
		c.Dialect.EarlyAuth, c.Dialect.StrictRegions = rapid.Bool().Draw(t, "early"), rapid.Bool().Draw(t, "strict")
		c.Dialect.PublicGateway = c.Dialect.Template == "dict" && rapid.Bool().Draw(t, "gateway")
		for i := range rapid.IntRange(1, 3).Draw(t, "regions") {
			fresh := func(s string) bool {
				return !slices.ContainsFunc(c.Regions, func(r Region) bool { return r.Name == s })
			}
			c.Regions = append(c.Regions, Region{
				Name: anyText().Filter(fresh).Draw(t, "name"), ID: i + 1, URL: address.Draw(t, "url"), Public: address.Draw(t, "public"),
				Category: rapid.SampledFrom([]string{"MULTI_TENANT", "SINGLE_TENANT"}).Draw(t, "category"),
			})
		}
		return c
	})
}

// Arbitrary names, addresses and files reach Sentry's settings unchanged, and nothing else
// is set.
func TestRegionConfigInPython(t *testing.T) {
	t.Parallel()
	python := startPython(t, "testdata/block.py")
	rapid.Check(t, func(t *rapid.T) {
		c := anyConfig().Draw(t, "config")
		block, err := Render(c)
		if err != nil {
			t.Fatal(err)
		}
		mode, django := rapid.SampledFrom([]string{"CONTROL", c.Dialect.RegionMode, "MONOLITH"}).Draw(t, "mode"), rapid.IntRange(2, 5).Draw(t, "django")
		if got, want := python.run(t, block, mode, django), c.defines(mode, django); !reflect.DeepEqual(got, want) {
			t.Fatalf("%s:\ngot  %+v\nwant %+v\n%s", mode, got, want, block.Text())
		}
	})
}

// The golden files are valid Python.
func TestGoldenFilesRun(t *testing.T) {
	t.Parallel()
	python := startPython(t, "testdata/block.py")
	files, err := filepath.Glob("testdata/block/*.golden")
	if err != nil || len(files) == 0 {
		t.Fatal("no golden files", err)
	}
	for _, file := range files {
		_, golden := readParts(t, file)
		block, err := ParseBlock(golden[1].text)
		if err != nil {
			t.Fatal(err)
		}
		if got := python.run(t, block, "CONTROL", 3); len(got.Regions) == 0 || got.Control == "" {
			t.Errorf("%s: %+v", file, got)
		}
	}
}
