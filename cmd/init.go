package cmd

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/google/renameio/v2"
	"github.com/urfave/cli/v2"

	"silo/scaffold"
	"silo/sentry"
	"silo/topology"
	"silo/tunnels"
)

func (a *app) initCommand() *cli.Command {
	return &cli.Command{
		Name:      "init",
		Usage:     "write a commented silo.toml for the Sentry that is found here",
		ArgsUsage: "[NGROK_YML]",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "force", Usage: "overwrite a silo.toml that is there"},
			&cli.BoolFlag{Name: "schema", Usage: "write silo.schema.json beside it, for editors; alone where there is a silo.toml already"},
			&cli.BoolFlag{Name: "from-ngrok", Usage: "make silos of the tunnels in NGROK_YML, or in the ngrok agent's own file"},
		},
		Action: a.init,
	}
}

func (a *app) init(c *cli.Context) error {
	file, err := a.initFile(c)
	if err != nil {
		return err
	}
	if c.Bool("schema") && !c.Bool("force") && !c.Bool("from-ngrok") && exists(file) {
		return a.writeSchema(file) // which changes with silo, while the topology is the user's
	}
	content, err := a.content(c)
	if err != nil {
		return err
	}
	if c.Bool("schema") {
		content.Schema = "./silo.schema.json"
	}
	choice, err := sentry.Choose(c.Context, "auto", sentry.Finder{
		Dir: filepath.Dir(file), Command: []string{"sentry", "devserver"}, Env: a.lookup,
		Run: a.capture,
	})
	if err != nil {
		a.messages.Warn(err.Error())
	}
	text, err := content.Text()
	if err != nil {
		return err
	}
	mode := fs.FileMode(0o644) // a topology is for everybody who works on the checkout
	if content.Secret() {
		mode = 0o600
		content.Warnings = append(content.Warnings, file+" holds what the tunnels' visitors have to know: it is for your eyes alone, and for no repository")
	}
	above := shadowed(file)
	if c.Bool("force") && exists(file) {
		if err := a.keepOld(file); err != nil {
			return err
		}
	}
	if err := writeNew(file, []byte(text), c.Bool("force"), mode); err != nil {
		return err
	}
	a.note("wrote " + file)
	if above != "" && !a.quiet {
		a.messages.Warn("in "+filepath.Dir(file)+" and below it is this one that silo finds from now on, and no more "+above, "silo -f "+above+" is about the other one")
	}
	if c.Bool("schema") {
		if err := a.writeSchema(file); err != nil {
			return err
		}
	}
	if choice.Warning == "" && choice.Found != "" {
		a.note("found " + choice.Found)
	}
	for _, note := range content.Notes {
		a.note(note)
	}
	if !a.quiet {
		for _, warning := range content.Warnings {
			a.messages.Warn(warning)
		}
	}
	if err := a.review(file); err != nil {
		return err
	}
	a.note("next: silo up --dry-run, then silo up")
	return nil
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// keepOld copies a topology that is to be overwritten: its ids stand in databases.
// What was kept before stays, the first one above all: that was written by hand.
func (a *app) keepOld(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("keep the former topology: %w", err)
	}
	old := file + ".old"
	for n := 1; exists(old); n++ {
		if kept, err := os.ReadFile(old); err == nil && bytes.Equal(kept, text) {
			a.note("the former one is kept as " + old + " already")
			return nil
		}
		old = file + ".old." + strconv.Itoa(n)
	}
	if err := writeWhole(old, text, 0o600); err != nil {
		return fmt.Errorf("keep the former topology: %w", err)
	}
	a.note("kept the former one as " + old)
	return nil
}

// shadowed is the topology above a file's directory that is found from there no more
// once the file is written; empty: none is.
func shadowed(file string) string {
	if filepath.Base(file) != topology.FileName || exists(file) {
		return ""
	}
	above, err := topology.Find(filepath.Dir(file), nil)
	if err != nil {
		return ""
	}
	return above
}

// writeSchema writes what editors know a topology by beside it, over one of before.
func (a *app) writeSchema(file string) error {
	schema := filepath.Join(filepath.Dir(file), "silo.schema.json")
	if err := writeNew(schema, topology.Schema(), true, 0o644); err != nil {
		return err
	}
	a.note("wrote " + schema)
	return nil
}

// initFile is where the topology goes.
func (a *app) initFile(c *cli.Context) (string, error) {
	if c.Bool("from-ngrok") && c.NArg() > 1 {
		return "", &usageError{text: "silo init --from-ngrok takes one file, but was given " + strings.Join(c.Args().Slice(), ", ")}
	} else if !c.Bool("from-ngrok") {
		if err := noArgs(c); err != nil {
			return "", namesAgent(c, err)
		}
	}
	if c.String("file") != "" {
		return a.topologyPath(c)
	}
	dir, err := a.directory(c)
	return filepath.Join(dir, "silo.toml"), err
}

// namesAgent gives a refusal of names the flag that takes one, where it looks as if it
// was meant.
func namesAgent(c *cli.Context, err error) error {
	refused, ok := errors.AsType[*usageError](err)
	if name := c.Args().First(); ok && slices.Contains([]string{".yml", ".yaml"}, filepath.Ext(name)) {
		refused.hint = "silo init --from-ngrok " + name + " makes silos of its tunnels"
	}
	return err
}

// content is what the topology will say: the silos of an ngrok agent's tunnels,
// else the regions that Sentry's own file has, else an example.
func (a *app) content(c *cli.Context) (scaffold.Draft, error) {
	written := a.writtenRegions()
	if c.Bool("from-ngrok") {
		file, err := a.agentFile(c)
		if err != nil {
			return scaffold.Draft{}, err
		}
		strange := strangeVersion(file)
		if len(file.Tunnels) == 0 {
			return scaffold.Draft{}, exitWith(exitFailed, "there is no HTTP tunnel to this machine in "+file.Path+strange, append([]string{"silo init writes a topology without one"}, file.Left...)...)
		}
		content := scaffold.OfAgent(file, written)
		if strange != "" {
			content.Warnings = append(content.Warnings, file.Path+strange+": what follows is what silo made out")
		}
		if content.Notes = append(content.Notes, "out of "+file.Path); file.Authtoken != "" {
			content.Notes = append(content.Notes, "the authtoken stays there")
			if !slices.Contains(a.agentPaths(), file.Path) {
				content.Warnings = append(content.Warnings, "silo does not look for an authtoken in "+file.Path+": export NGROK_AUTHTOKEN=… with the one that is there")
			}
		}
		return content, nil
	}
	content := scaffold.OfRegions(written)
	if len(written) > 0 {
		content.Notes = append(content.Notes, "the regions are those that stand in "+a.sentryFile())
	}
	for _, path := range a.agentPaths() {
		if file, err := tunnels.ReadAgentConfig(path); err == nil && len(file.Tunnels) > 0 {
			content.Notes = append(content.Notes, fmt.Sprintf("found %d tunnels in %s: silo init --force --from-ngrok makes silos of them", len(file.Tunnels), path))
			break
		}
	}
	return content, nil
}

// strangeVersion says of an ngrok agent's file that its version is another than those
// that silo reads; empty: it is one of them, or has none.
func strangeVersion(file tunnels.AgentFile) string {
	if file.Version == "" || file.Version == "2" || file.Version == "3" {
		return ""
	}
	return fmt.Sprintf(", which is of version %q: silo knows 2 and 3", file.Version)
}

// agentFile is the ngrok agent's configuration that the user names, or the first
// that the agent itself would read.
func (a *app) agentFile(c *cli.Context) (tunnels.AgentFile, error) {
	if given := c.Args().First(); given != "" {
		dir, err := a.directory(c)
		if err != nil {
			return tunnels.AgentFile{}, err
		}
		if !filepath.IsAbs(given) {
			given = filepath.Join(dir, given)
		}
		return tunnels.ReadAgentConfig(given)
	}
	for _, path := range a.agentPaths() {
		file, err := tunnels.ReadAgentConfig(path)
		if !errors.Is(err, fs.ErrNotExist) {
			return file, err
		}
	}
	return tunnels.AgentFile{}, exitWith(exitFailed, "there is no ngrok.yml: looked at "+strings.Join(a.agentPaths(), ", "), "silo init --from-ngrok FILE names another one")
}

func (a *app) agentPaths() []string {
	home, _ := a.lookup("HOME")
	return tunnels.AgentConfigPaths(a.lookup, home, runtime.GOOS)
}

// sentryFile is the configuration that Sentry reads where no topology names one.
func (a *app) sentryFile() string {
	t, err := topology.Parse("silo.toml", []byte("version = 1\n[region.us]\nid = 1\n"), nil, a.lookup)
	if err != nil {
		return "" // neither HOME nor SENTRY_CONF
	}
	return t.Sentry.Config
}

// writtenRegions are those of Sentry's own file that a topology can hold.
func (a *app) writtenRegions() []sentry.WrittenRegion {
	text, err := os.ReadFile(a.sentryFile())
	if err != nil {
		return nil
	}
	found := sentry.ParseRegions(string(text))
	for i, w := range found {
		text := fmt.Sprintf("version = 1\n[region.%q]\nid = %d\n", w.Name, w.ID)
		if _, err := topology.Parse("silo.toml", []byte(text), nil, a.lookup); err != nil {
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

// review says what is wrong with a topology that has been made of what others
// wrote, before an `up` does.
func (a *app) review(file string) error {
	t, err := topology.Load(file, a.lookup)
	if problems, wrong := errors.AsType[topology.Problems](err); wrong {
		a.messages.Problems(problems)
		a.messages.Warn("silo up needs that mended")
		return nil
	}
	if err != nil {
		return err
	}
	if !a.quiet && len(t.Warnings) > 0 {
		a.messages.Warnings(t.Warnings)
	}
	return nil
}

// writeNew writes a file that is not there yet, or over one with force. One that
// cannot be written whole is not left in parts.
func writeNew(file string, data []byte, force bool, mode fs.FileMode) error {
	if info, err := os.Stat(file); err == nil && force {
		if mode&0o077 != 0 { // else one that was there may be open to others
			mode = info.Mode().Perm()
		}
		if err := writeWhole(file, data, mode); err != nil {
			return fmt.Errorf("write %s: %w", file, err)
		}
		return nil
	}
	flags := os.O_WRONLY | os.O_CREATE
	if !force {
		flags |= os.O_EXCL
	}
	f, err := os.OpenFile(file, flags, mode)
	if errors.Is(err, os.ErrExist) {
		return exitWith(exitFailed, file+" is there already", "silo init --force overwrites it")
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", file, errors.Join(err, os.Remove(file)))
	}
	return nil
}

// writeWhole puts a file in its place once it is whole, also over another one; a
// symbolic link stays one.
func writeWhole(file string, data []byte, mode fs.FileMode) error {
	if resolved, err := filepath.EvalSymlinks(file); err == nil {
		file = resolved
	}
	pending, err := renameio.NewPendingFile(file, renameio.WithTempDir(filepath.Dir(file)), renameio.WithStaticPermissions(mode))
	if err != nil {
		return err
	}
	defer func() { _ = pending.Cleanup() }() // does nothing once it is in its place
	if _, err := pending.Write(data); err != nil {
		return err
	}
	return pending.CloseAtomicallyReplace()
}
