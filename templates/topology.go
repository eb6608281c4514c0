package templates

import (
	"fmt"
	"slices"
	"strings"
	"text/template"
)

// Topology is what `silo init` knows when it writes a silo.toml. What is empty
// is left to the default and stands in the file as a comment.
type Topology struct {
	Schema   string   // where an editor finds the JSON schema; empty: the file names none
	Name     string   // of the instance; empty: the directory's name
	Dir      string   // where devservers are started; empty: beside the file
	Command  []string // what starts a devserver; empty: sentry devserver
	Config   string   // the sentry.conf.py; empty: where Sentry itself looks
	Dialect  string   // empty: auto
	Watchers string   // "true" or "false"; empty: auto
	Provider string   // of tunnels; empty: local
	Domain   string   // base of all addresses; empty: none
	Ngrok    Ngrok    // empty: as ngrok itself has it
	Control  Silo
	Regions  []RegionTable // none: one region, us, with id 1
}

// Ngrok is how a Topology reaches the ngrok service.
type Ngrok struct {
	ServerAddr string
	RootCAs    string
	Metadata   string
}

// Silo is what one silo of a Topology may say of its place. Of what is empty
// nothing is written.
type Silo struct {
	Port          int      // 0: silo's own preference
	Domain        string   // a bare host; empty: from Topology.Domain
	URL           string   // of provider external
	HostHeader    string   // preserve, rewrite or a host
	BasicAuth     []string // user:password pairs
	AllowCIDRs    []string
	TrafficPolicy string // its text or its file
}

// RegionTable is one region of a Topology.
type RegionTable struct {
	Silo
	Name     string
	ID       int
	Category string // empty: MULTI_TENANT
}

// Text is the commented silo.toml: every table of the format appears, most of
// them commented out. It is valid TOML for any content of t.
func (t Topology) Text() (string, error) {
	if len(t.Regions) == 0 {
		t.Regions = []RegionTable{{Name: "us", ID: 1}}
	}
	funcs := template.FuncMap{"str": tomlString, "text": tomlText, "key": tomlKey, "list": tomlList, "line": oneLine}
	all, err := template.New("silo.toml.tmpl").Option("missingkey=error").Funcs(funcs).ParseFS(files, "silo.toml.tmpl")
	if err != nil {
		return "", fmt.Errorf("parse silo.toml template: %w", err)
	}
	var text strings.Builder
	if err := all.Execute(&text, t); err != nil {
		return "", fmt.Errorf("fill in silo.toml template: %w", err)
	}
	return text.String(), nil
}

// tomlString writes s as a TOML basic string (TOML 1.0, "String"). Bytes that
// are not UTF-8 cannot stand in a TOML file and become U+FFFD. What looks like a
// variable (`${NAME}`) stays one.
func tomlString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < 0x20 || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// tomlText writes s as tomlString does, over several lines where it has them
// (TOML 1.0, "Multi-line basic strings").
func tomlText(s string) string {
	if !strings.Contains(s, "\n") {
		return tomlString(s)
	}
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		quoted := tomlString(line)
		lines[i] = quoted[1 : len(quoted)-1]
		if !strings.Contains(line, `""`) && !strings.HasSuffix(line, `"`) { // or it might end the text
			lines[i] = strings.ReplaceAll(lines[i], `\"`, `"`)
		}
	}
	return `"""` + "\n" + strings.Join(lines, "\n") + `"""`
}

// tomlKey writes s as a bare key where TOML allows that, else quoted.
func tomlKey(s string) string {
	bare := func(r rune) bool {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_'
	}
	if s == "" || strings.ContainsFunc(s, func(r rune) bool { return !bare(r) }) {
		return tomlString(s)
	}
	return s
}

// tomlList writes strings as an array on one line.
func tomlList(all []string) string {
	quoted := slices.Clone(all)
	for i, s := range quoted {
		quoted[i] = tomlString(s)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// oneLine keeps s from ending the comment that it stands in.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}
