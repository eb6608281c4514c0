package scaffold

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"silo/sentry"
)

// ErrNotPython is returned for a command that an editor's Python debugger cannot start.
var ErrNotPython = errors.New("not a Python program")

// Program is a silo's command, for an editor that starts and debugs it.
type Program struct {
	Name string
	Dir  string
	Vars []sentry.Var // to set on top of the editor's environment

	python string // path of the interpreter; empty: the editor's
	script string // path of the script; empty: module
	module string
	args   []string
}

// NewProgram returns the program of a command: a Python script, or python -m MODULE. file
// is the path of the command's first word. The error wraps ErrNotPython.
func NewProgram(name, dir string, vars []sentry.Var, file string, argv []string) (Program, error) {
	p := Program{Name: name, Dir: dir, Vars: vars}
	base := filepath.Base(file)
	switch {
	case strings.HasPrefix(base, "python") && len(argv) > 2 && argv[1] == "-m":
		p.python, p.module, p.args = file, argv[2], argv[3:]
	case strings.HasPrefix(base, "python") && len(argv) > 1 && !strings.HasPrefix(argv[1], "-"):
		p.python, p.script, p.args = file, argv[1], argv[2:]
		if !filepath.IsAbs(p.script) {
			p.script = filepath.Join(dir, p.script)
		}
	case isPythonScript(file):
		p.script, p.args = file, argv[1:]
		// A virtual environment has its scripts and its interpreter in one directory.
		if python := filepath.Join(filepath.Dir(file), "python"); isFile(python) {
			p.python = python
		}
	default:
		return p, ErrNotPython
	}
	return p, nil
}

// isPythonScript reports whether the first line of a file names a Python interpreter.
func isPythonScript(file string) bool {
	head := make([]byte, 256)
	opened, err := os.Open(file)
	if err != nil {
		return false
	}
	defer func() { _ = opened.Close() }() // only read
	n, _ := opened.Read(head)             // an empty file has no first line
	line, _, _ := bytes.Cut(head[:n], []byte("\n"))
	return bytes.HasPrefix(line, []byte("#!")) && bytes.Contains(line, []byte("python")) || strings.HasSuffix(file, ".py")
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// VSCode returns a configuration for .vscode/launch.json, for the debugger debugpy
// (github.com/microsoft/debugpy/wiki/Debug-configuration-settings).
func (p Program) VSCode() ([]byte, error) {
	env := map[string]string{}
	for _, v := range p.Vars {
		env[v.Name] = v.Value
	}
	configuration := struct {
		Name       string            `json:"name"`
		Type       string            `json:"type"`
		Request    string            `json:"request"`
		Python     string            `json:"python,omitempty"`
		Program    string            `json:"program,omitempty"`
		Module     string            `json:"module,omitempty"`
		Args       []string          `json:"args"`
		Cwd        string            `json:"cwd"`
		Env        map[string]string `json:"env"`
		Console    string            `json:"console"`
		Django     bool              `json:"django"`
		JustMyCode bool              `json:"justMyCode"`
		SubProcess bool              `json:"subProcess"`
	}{
		"silo: " + p.Name, "debugpy", "launch", p.python, p.script, p.module,
		append([]string{}, p.args...), p.Dir, env, "integratedTerminal", true, false, true,
	}
	var text bytes.Buffer
	lines := json.NewEncoder(&text)
	lines.SetEscapeHTML(false)
	lines.SetIndent("", "  ")
	err := lines.Encode(configuration)
	return text.Bytes(), err
}

// pyCharmOption is one setting of a run configuration.
type pyCharmOption struct {
	XMLName xml.Name `xml:"option"`
	Name    string   `xml:"name,attr"`
	Value   string   `xml:"value,attr"`
}

type pyCharmEnv struct {
	Name  string `xml:"name,attr"`
	Value string `xml:"value,attr"`
}

// PyCharm returns a run configuration, which PyCharm finds as .run/NAME.run.xml in the
// project.
func (p Program) PyCharm() ([]byte, error) {
	type configuration struct {
		Default string          `xml:"default,attr"`
		Name    string          `xml:"name,attr"`
		Type    string          `xml:"type,attr"`
		Factory string          `xml:"factoryName,attr"`
		Envs    []pyCharmEnv    `xml:"envs>env"`
		Options []pyCharmOption `xml:"option"`
	}
	c := configuration{Default: "false", Name: "silo: " + p.Name, Type: "PythonConfigurationType", Factory: "Python"}
	for _, v := range p.Vars {
		c.Envs = append(c.Envs, pyCharmEnv{v.Name, v.Value})
	}
	target, module := p.script, "false"
	if p.module != "" {
		target, module = p.module, "true"
	}
	for _, o := range [][2]string{
		{"PARENT_ENVS", "true"},
		{"SDK_HOME", p.python},
		{"IS_MODULE_SDK", map[bool]string{true: "true", false: "false"}[p.python == ""]},
		{"WORKING_DIRECTORY", p.Dir},
		{"SCRIPT_NAME", target},
		{"PARAMETERS", parameters(p.args)},
		{"MODULE_MODE", module},
		{"EMULATE_TERMINAL", "true"},
	} {
		c.Options = append(c.Options, pyCharmOption{Name: o[0], Value: o[1]})
	}
	text, err := xml.MarshalIndent(struct {
		XMLName       xml.Name      `xml:"component"`
		Name          string        `xml:"name,attr"`
		Configuration configuration `xml:"configuration"`
	}{Name: "ProjectRunConfigurationManager", Configuration: c}, "", "  ")
	return append(text, '\n'), err
}

// parameters joins arguments as PyCharm splits them: at spaces outside double quotes.
func parameters(args []string) string {
	words := slices.Clone(args)
	for i, word := range words {
		if word == "" || strings.ContainsAny(word, " \t\"") {
			words[i] = `"` + strings.ReplaceAll(word, `"`, `\"`) + `"`
		}
	}
	return strings.Join(words, " ")
}

// Dotenv returns variables as a .env file that python-dotenv and VS Code read alike. A value
// in single quotes is not expanded.
func Dotenv(vars []sentry.Var) string {
	var text strings.Builder
	for _, v := range vars {
		value := v.Value
		switch {
		case !strings.ContainsAny(value, "'\\\n\r"):
			value = "'" + value + "'"
		default:
			value = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`).Replace(value) + `"`
		}
		text.WriteString(v.Name + "=" + value + "\n")
	}
	return text.String()
}
