package scaffold

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"silo/files"
	"silo/sentry"
	"silo/topology"
	"silo/tunnels"
)

// Options are the choices for Init.
type Options struct {
	File      string // path of the silo.toml; absolute
	Force     bool   // overwrite File
	Schema    bool   // also write silo.schema.json next to File
	FromNgrok bool   // make silos from an ngrok agent's tunnels
	NgrokFile string // the agent's configuration, absolute; empty: the agent's default
	Env       func(name string) (string, bool)
}

// Error is a failure with hints for the user.
type Error struct {
	Text  string
	Hints []string
}

func (e *Error) Error() string { return e.Text }

// SchemaOnly reports whether Init will write only the schema, because the topology
// exists.
func (o Options) SchemaOnly() bool { return o.Schema && !o.Force && !o.FromNgrok && exists(o.File) }

// Init writes a silo.toml and reports what it did. It overwrites a file only with
// Force, and keeps a copy of it. Notes and warnings are also returned with
// an error, which wraps *Error if the user can fix the cause.
func Init(o Options) (notes, warnings []string, err error) {
	if o.SchemaOnly() {
		note, err := writeSchema(o.File) // the schema changes with silo's version, the user's topology does not
		if err != nil {
			return nil, nil, err
		}
		return []string{note}, nil, nil
	}
	draft, err := o.draft()
	if err != nil {
		return nil, nil, err
	}
	draft.Schema = o.Schema
	o.addWatchers(&draft)
	text, err := draft.Text()
	if err != nil {
		return nil, nil, err
	}
	mode := fs.FileMode(0o644) // everyone who works on the checkout shares the topology
	if draft.HasSecrets() {
		mode = 0o600
		draft.Warnings = append(draft.Warnings, o.File+" contains passwords or a traffic policy: only you can read it; do not commit it")
	}
	if hidden := hiddenBy(o.File); hidden != "" {
		warnings = append(warnings, fmt.Sprintf("in %s and below, silo now finds this file and no longer %s (silo -f %[2]s still uses that one)", filepath.Dir(o.File), hidden))
	}
	if exists(o.File) {
		if !o.Force {
			return nil, nil, &Error{o.File + " already exists", []string{"silo init --force overwrites it"}}
		}
		note, err := keepOld(o.File)
		if err != nil {
			return nil, nil, err
		}
		notes = append(notes, note)
	}
	if err := replaceFile(o.File, []byte(text), mode); err != nil {
		return notes, nil, err
	}
	notes = append(notes, "wrote "+o.File)
	if o.Schema {
		note, err := writeSchema(o.File)
		if err != nil {
			return notes, warnings, err
		}
		notes = append(notes, note)
	}
	return append(notes, draft.Notes...), append(warnings, draft.Warnings...), nil
}

// draft makes the topology from an ngrok agent's tunnels, else from the regions in
// Sentry's own file, else an example.
func (o Options) draft() (Draft, error) {
	config := o.sentryConfig()
	text, readErr := files.Read(config)
	written := o.writtenRegions(string(text))
	if o.FromNgrok {
		return o.fromNgrok(written)
	}
	draft := FromSentry(written, sentry.ParseControlAddress(string(text)))
	switch {
	case len(written) > 0 && draft.Provider != "":
		draft.Notes = append(draft.Notes, "the regions and their "+draft.Provider+" domains are those in "+config)
	case len(written) > 0:
		draft.Notes = append(draft.Notes, "the regions are those in "+config)
	case readErr != nil:
		draft.Notes = append(draft.Notes, "the regions us and eu are examples, because "+config+" does not exist yet")
	default:
		draft.Notes = append(draft.Notes, "the regions us and eu are examples, because "+config+" has no regions")
	}
	draft.Notes = append(draft.Notes, o.agentNote())
	return draft, nil
}

// agentNote returns a note about whether an ngrok agent's configuration was found.
func (o Options) agentNote() string {
	paths := o.agentPaths()
	for _, path := range paths {
		if file, err := ReadAgentFile(path); err == nil && len(file.Tunnels) > 0 {
			return fmt.Sprintf("found %s in %s: silo init --force --from-ngrok makes silos from them", plural(len(file.Tunnels), "tunnel"), path)
		}
	}
	return "no tunnels of an ngrok agent found (looked at " + strings.Join(paths, ", ") + ")"
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func (o Options) fromNgrok(written []sentry.WrittenRegion) (Draft, error) {
	file, err := o.readAgentFile()
	if err != nil {
		return Draft{}, err
	}
	version := ""
	if !slices.Contains([]string{"", "2", "3"}, file.Version) {
		version = fmt.Sprintf(" (its version is %q; silo knows 2 and 3)", file.Version)
	}
	if len(file.Tunnels) == 0 {
		return Draft{}, &Error{
			"no HTTP tunnel to this machine in " + file.Path + version,
			append([]string{"silo init writes a topology without tunnels"}, file.Skipped...),
		}
	}
	draft := FromAgent(file, written)
	if version != "" {
		draft.Warnings = append(draft.Warnings, file.Path+" may be incomplete here"+version)
	}
	draft.Notes = append(draft.Notes, "made from "+file.Path)
	if file.HasAuthtoken {
		draft.Notes = append(draft.Notes, "the authtoken stays there")
		if !slices.Contains(o.agentPaths(), file.Path) {
			draft.Warnings = append(draft.Warnings, "silo does not look for an authtoken in "+file.Path+": export NGROK_AUTHTOKEN=… with the authtoken in it")
		}
	}
	return draft, nil
}

// readAgentFile reads the ngrok agent's configuration that the user named, or the first
// one that the agent itself would read.
func (o Options) readAgentFile() (AgentFile, error) {
	if o.NgrokFile != "" {
		return ReadAgentFile(o.NgrokFile)
	}
	for _, path := range o.agentPaths() {
		if file, err := ReadAgentFile(path); !errors.Is(err, fs.ErrNotExist) {
			return file, err
		}
	}
	return AgentFile{}, &Error{"no ngrok.yml: looked at " + strings.Join(o.agentPaths(), ", "), []string{"silo init --from-ngrok FILE"}}
}

func (o Options) agentPaths() []string {
	home, _ := o.Env("HOME")
	return tunnels.AgentConfigPaths(o.Env, home, runtime.GOOS)
}

// sentryConfig returns the configuration file that Sentry reads by default; empty
// without HOME and SENTRY_CONF.
func (o Options) sentryConfig() string {
	t, err := topology.Parse(topology.FileName, []byte("version = 1\n[region.us]\nid = 1\n"), nil, o.Env)
	if err != nil {
		return ""
	}
	return t.Sentry.Config
}

// addWatchers turns the watchers off if devserver could not start them.
func (o Options) addWatchers(draft *Draft) {
	finder := sentry.Finder{Dir: filepath.Dir(o.File), Command: []string{"sentry", "devserver"}, Env: o.Env}
	if dir, missing := finder.MissingNodePackages(); missing && len(draft.Command) == 0 && draft.Watchers == "" {
		draft.Command = []string{"sentry", "devserver", "--no-watchers"}
		draft.Notes = append(draft.Notes, "the command has --no-watchers, because there is no "+dir+" to run webpack from")
	}
}

// writtenRegions returns the regions in the text of a Sentry configuration, or none if a
// topology cannot express one of them.
func (o Options) writtenRegions(config string) []sentry.WrittenRegion {
	found := sentry.ParseRegions(config)
	for i, w := range found {
		text := fmt.Sprintf("version = 1\n[region.%q]\nid = %d\n", w.Name, w.ID)
		if _, err := topology.Parse(topology.FileName, []byte(text), nil, o.Env); err != nil {
			return nil
		}
		if slices.ContainsFunc(found[:i], func(other sentry.WrittenRegion) bool { return other.Name == w.Name || other.ID == w.ID }) {
			return nil
		}
		if w.Category == "MULTI_TENANT" {
			found[i].Category = "" // the default
		}
	}
	return found
}
