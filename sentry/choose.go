package sentry

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"silo/topology"
)

// Choice is the dialect to speak, and why.
type Choice struct {
	Dialect Dialect
	Release string // as found, such as "22.11.0"; empty where only a dialect is known
	Found   string // for a person: what was found, where, by which marks
	Warning string // what a user should know though nothing fails; else empty
}

// Finder is where Choose may look. All of it is read-only.
type Finder struct {
	Dir     string   // where devservers are started; absolute
	Command []string // what starts one
	Env     func(name string) (string, bool)
	// Run runs a program in a directory and returns its standard output. Nil:
	// nothing is run.
	Run func(ctx context.Context, argv []string, dir string) ([]byte, error)
}

// versionLimit bounds `sentry --version`, which imports much of Sentry.
const versionLimit = 10 * time.Second

// Choose finds the dialect for want: "auto", a release, or a dialect's name.
//
// For auto it reads, in this order and without running anything: the Sentry that
// the program of the command belongs to (its link, its interpreter line, the
// site-packages beside that, an editable installation's checkout); a checkout at
// Dir or above it, up to the repository's root; the environments at
// $VIRTUAL_ENV, Dir/.venv and Dir/venv. The program comes first because it is
// what will run. Marks in the source beat version numbers: a checkout between
// two releases carries the number of the next. If a program called sentry tells
// nothing by its files, `sentry --version` is run, for 10 s at most. If nothing
// is found, the dialect is tuple-id and Warning says so.
//
// A Sentry that has no dialect gives an error that wraps ErrUnsupported; the
// Choice then still tells what was found.
func Choose(ctx context.Context, want string, look Finder) (Choice, error) {
	if want != "auto" && want != "" {
		return chooseNamed(want)
	}
	found, ok := look.installed()
	if !ok {
		return look.ask(ctx)
	}
	choice, err := found.choice()
	if choice.Warning == "" {
		choice.Warning = look.elsewhere(choice)
	}
	return choice, err
}

// elsewhere warns where Dir is in a checkout of another dialect than what runs.
func (l Finder) elsewhere(chosen Choice) string {
	root, ok := Checkout(l.Dir)
	if !ok {
		return ""
	}
	here, _ := ofCheckout(root).choice() // only its dialect counts here
	if here.Dialect.Name == "" || here.Dialect.Name == chosen.Dialect.Name {
		return ""
	}
	return fmt.Sprintf("%s runs %s, not the checkout around it, which is dialect %s", strings.Join(l.Command, " "), chosen.Found, here.Dialect.Name)
}

// chooseNamed follows what the topology says.
func chooseNamed(want string) (Choice, error) {
	r, notRelease := topology.ParseRelease(want)
	if notRelease != nil {
		d, err := DialectNamed(want)
		return Choice{Dialect: d, Found: "for Sentry " + d.Range() + asSaid}, err
	}
	d, warning, err := DialectOf(r)
	return Choice{Dialect: d, Release: r.String(), Found: "for Sentry " + r.String() + asSaid, Warning: warning}, err
}

// asSaid is why no Sentry was looked at.
const asSaid = ", as sentry.dialect in silo.toml says"

// installed is the sentry package that the files tell of.
func (l Finder) installed() (source, bool) {
	program, hasProgram := l.program()
	if hasProgram {
		if s, ok := ofProgram(program, l.find); ok {
			return s, true
		}
	}
	if root, ok := Checkout(l.Dir); ok {
		return ofCheckout(root), true
	}
	environments := []string{filepath.Join(l.Dir, ".venv"), filepath.Join(l.Dir, "venv")}
	if active, ok := l.Env("VIRTUAL_ENV"); ok && active != "" {
		environments = slices.Insert(environments, 0, active)
	}
	for _, prefix := range environments {
		if s, ok := ofPrefix(prefix); ok {
			return s, true
		}
	}
	return source{}, false
}

var versionLine = regexp.MustCompile(`version (\d+\.\d+\.\d+\S*)`)

// ask runs `sentry --version`, as the last resort before a guess.
func (l Finder) ask(ctx context.Context) (Choice, error) {
	program, ok := l.program()
	if !ok || filepath.Base(program) != "sentry" || l.Run == nil {
		return guess("no Sentry was found beside the command, in " + l.Dir + " or in a virtual environment")
	}
	ctx, cancel := context.WithTimeout(ctx, versionLimit)
	defer cancel()
	out, err := l.Run(ctx, []string{program, "--version"}, l.Dir)
	if err != nil {
		if errors.Is(err, context.Canceled) {
			return Choice{}, fmt.Errorf("run %s --version: %w", program, err)
		}
		return guess(fmt.Sprintf("%s --version failed (%v)", program, err))
	}
	m := versionLine.FindSubmatch(out)
	if m == nil {
		return guess(fmt.Sprintf("%s --version names no release", program))
	}
	r, err := topology.ParseRelease(string(m[1]))
	if err != nil {
		return guess(fmt.Sprintf("%s --version: %v", program, err))
	}
	d, warning, err := DialectOf(r)
	d.Minimal = false
	return Choice{Dialect: d, Release: r.String(), Found: fmt.Sprintf("sentry %s by %s --version", r, program), Warning: warning}, err
}

// Runnable is nil where silos of the Sentry that was found can run, else an error
// that wraps ErrBroken and says why not. As a monolith it runs all the same.
func (c Choice) Runnable() error {
	if c.Dialect.Broken == "" {
		return nil
	}
	return fmt.Errorf("sentry %s %w: %s", c.Release, ErrBroken, c.Dialect.Broken)
}

// guess is the dialect of the first releases with silos.
func guess(why string) (Choice, error) {
	d := Dialects()[0]
	return Choice{
		Dialect: d, Found: "no Sentry found",
		Warning: why + `: taking dialect "` + d.Name + `"; sentry.dialect in the topology names another, or a release`,
	}, nil
}

// choice is the dialect of a sentry package.
func (s source) choice() (Choice, error) {
	r, err := topology.ParseRelease(s.version)
	known := err == nil // by a version; a checkout may have none
	c := Choice{Found: "sentry at " + s.pkg}
	if known {
		c.Release = r.String()
		c.Found = "sentry " + c.Release + " at " + s.pkg
	} else {
		r = Release{}
	}
	t := newTree(s.pkg)
	d, seen, ok := t.read()
	switch text := t.text(regionFile); {
	case ok:
		d.Minimal = false
		c.Dialect, c.Warning = d.At(r), unknown(r, "its text has the marks of dialect "+d.Name)
		c.Found += " (marker " + seen.String() + ")"
		return c, nil
	case text != nil && strings.Contains(*text, "subdomain: str"), !known && t.text(cellFile) == nil:
		return c, fmt.Errorf("%s has no regions that silo knows: it is older than 22.10.0, or not a whole Sentry: %w", c.Found, ErrUnsupported)
	case !known:
		c.Dialect = newest()
		c.Found += " (no known marker, no version)"
		c.Warning = c.Found + " is newer than any known here: it gets the newest dialect, " + c.Dialect.Name
		return c, nil
	}
	c.Dialect, c.Warning, err = DialectOf(r)
	c.Dialect.Minimal = false
	c.Found += " (by its version, no marker)"
	return c, err
}

func newest() Dialect {
	all := Dialects()
	return all[len(all)-1]
}
