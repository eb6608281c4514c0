package scaffold

import (
	"encoding/json"
	"strings"
	"text/template"

	"silo/templates"
)

// Topology is the content of a silo.toml. An empty field keeps its default, which the
// file shows as a comment.
type Topology struct {
	Schema   bool     // names the JSON schema in the same directory, for editors
	Name     string   // of the instance; empty: the directory's name
	Command  []string // the command that starts a devserver; empty: sentry devserver
	Config   string   // the sentry.conf.py; empty: Sentry's default
	Dialect  string   // empty: auto
	Watchers string   // "true" or "false"; empty: auto
	Provider string   // of tunnels; empty: local
	Ngrok    Ngrok    // empty: ngrok's defaults
	Control  Silo
	Regions  []Region // at least one
}

// Ngrok configures the connection to the ngrok service.
type Ngrok struct {
	ServerAddr string
	RootCAs    string
	Metadata   string
}

// Silo is one silo of a Topology.
type Silo struct {
	Port          int      // 0: silo's preferred port
	Domain        string   // a bare host
	HostHeader    string   // preserve, rewrite or a host
	BasicAuth     []string // user:password pairs
	AllowCIDRs    []string
	TrafficPolicy string // its text or its file
}

// Region is one region of a Topology.
type Region struct {
	Silo
	Name     string
	ID       int
	Category string // empty: MULTI_TENANT
}

// Text returns a commented silo.toml with every table of the format, most of them
// commented out. It is valid TOML for any content of t.
func (t Topology) Text() (string, error) {
	const file = "silo.toml.tmpl"
	funcs := template.FuncMap{"str": tomlString, "text": tomlText, "key": tomlKey, "list": tomlList}
	return templates.Execute(file, funcs, t, file)
}

// tomlString returns s as a TOML basic string. A JSON string is one (TOML 1.0,
// "String"), except that TOML does not allow DEL. Bytes that are not UTF-8 become
// U+FFFD.
func tomlString(s string) string {
	var text strings.Builder
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(s) // a string can always be encoded
	return strings.ReplaceAll(strings.TrimSuffix(text.String(), "\n"), "\x7f", `\u007F`)
}

// tomlText returns s as a TOML string, on several lines if s has more than one (TOML
// 1.0, "Multi-line basic strings").
func tomlText(s string) string {
	if !strings.Contains(s, "\n") {
		return tomlString(s)
	}
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		quoted := tomlString(line)
		lines[i] = quoted[1 : len(quoted)-1]
		if !strings.Contains(line, `""`) && !strings.HasSuffix(line, `"`) { // three quotes would end the text
			lines[i] = strings.ReplaceAll(lines[i], `\"`, `"`)
		}
	}
	return `"""` + "\n" + strings.Join(lines, "\n") + `"""`
}

// tomlKey returns s as a bare key if TOML allows it, else quoted.
func tomlKey(s string) string {
	const bare = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
	if s == "" || strings.Trim(s, bare) != "" {
		return tomlString(s)
	}
	return s
}

func tomlList(all []string) string {
	quoted := make([]string, len(all))
	for i, s := range all {
		quoted[i] = tomlString(s)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}
