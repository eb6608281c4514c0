package sentry

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"silo/topology"
)

// Choice is the dialect to use, and why.
type Choice struct {
	Dialect Dialect
	Release string // such as "22.11.0"; empty if only the dialect is known
	Found   string // for the user: what was found, where, and by which markers
	Warning string // may be empty
}

// versionLimit bounds `sentry --version`, which imports much of Sentry.
const versionLimit = 10 * time.Second

// Choose finds the dialect for want: "auto", a release, or the name of a dialect.
//
// For auto it reads these files, in this order, without running anything: the Sentry
// that the command's program belongs to (its link, its interpreter line, the
// site-packages next to that, the checkout of an editable installation); a checkout at
// Dir or above it, up to the root of the repository; the environments at $VIRTUAL_ENV,
// Dir/.venv and Dir/venv. The program comes first because it will run. Markers in the
// source override version numbers, because a checkout between two releases has the
// number of the next one. If a program called sentry cannot be identified by its files,
// Choose runs `sentry --version`, for at most 10 s. If nothing is found, the dialect is
// tuple-id, with a Warning.
//
// The error wraps ErrUnsupported for a Sentry without a dialect. The Choice still
// describes the finding.
func Choose(ctx context.Context, want string, f Finder) (Choice, error) {
	if want != "auto" && want != "" {
		return chooseNamed(want)
	}
	found, ok := f.installed()
	if !ok {
		return f.askVersion(ctx)
	}
	choice, err := found.choice()
	if choice.Warning == "" {
		choice.Warning = f.otherCheckout(choice)
	}
	return choice, err
}

// otherCheckout warns if Dir is in a checkout whose dialect differs from the chosen one.
func (f Finder) otherCheckout(chosen Choice) string {
	root, ok := Checkout(f.Dir)
	if !ok {
		return ""
	}
	here, _ := readCheckout(root).choice() // only its dialect is used
	if here.Dialect.Name == "" || here.Dialect.Name == chosen.Dialect.Name {
		return ""
	}
	return fmt.Sprintf("%s runs %s, not the checkout around it, which has dialect %s", strings.Join(f.Command, " "), chosen.Found, here.Dialect.Name)
}

// chooseNamed uses the dialect or the release that the topology names.
func chooseNamed(want string) (Choice, error) {
	const source = ", set by sentry.dialect in silo.toml"
	r, err := topology.ParseRelease(want)
	if err != nil {
		d, err := DialectNamed(want)
		return Choice{Dialect: d, Found: "for Sentry " + d.Range() + source}, err
	}
	d, warning, err := DialectOf(r)
	return Choice{Dialect: d, Release: r.String(), Found: "for Sentry " + r.String() + source, Warning: warning}, err
}

var versionLine = regexp.MustCompile(`version (\d+\.\d+\.\d+\S*)`)

// askVersion runs `sentry --version`, the last resort before a guess.
func (f Finder) askVersion(ctx context.Context) (Choice, error) {
	program, ok := f.Executable()
	if !ok || filepath.Base(program) != "sentry" || f.Run == nil {
		if f.isStandIn() {
			return Choice{Dialect: Dialects()[0], Found: "silo's stand-in for Sentry"}, nil
		}
		return guess("no Sentry was found next to the command, in " + f.Dir + " or in a virtual environment")
	}
	ctx, cancel := context.WithTimeout(ctx, versionLimit)
	defer cancel()
	out, err := f.Run(ctx, []string{program, "--version"}, f.Dir)
	if errors.Is(err, context.Canceled) {
		return Choice{}, fmt.Errorf("run %s --version: %w", program, err)
	}
	if err != nil {
		return guess(fmt.Sprintf("%s --version failed (%v)", program, err))
	}
	m := versionLine.FindSubmatch(out)
	if m == nil {
		return guess(program + " --version prints no release")
	}
	r, err := topology.ParseRelease(string(m[1]))
	if err != nil {
		return guess(fmt.Sprintf("%s --version: %v", program, err))
	}
	d, warning, err := DialectOf(r)
	d.Minimal = false
	return Choice{Dialect: d, Release: r.String(), Found: fmt.Sprintf("sentry %s by %s --version", r, program), Warning: warning}, err
}

// Runnable returns an error that wraps ErrBroken if the release cannot run as
// silos. It can still run as a monolith.
func (c Choice) Runnable() error {
	if c.Dialect.Broken == "" {
		return nil
	}
	return fmt.Errorf("sentry %s %w: %s", c.Release, ErrBroken, c.Dialect.Broken)
}

// guess chooses the dialect of the first releases with silos.
func guess(why string) (Choice, error) {
	d := Dialects()[0]
	return Choice{
		Dialect: d, Found: "no Sentry found",
		Warning: why + `: assuming dialect "` + d.Name + `" of 2022, which does not fit a current Sentry; set sentry.dialect in silo.toml to your release`,
	}, nil
}

// choice is the dialect of a sentry package.
func (s source) choice() (Choice, error) {
	c := Choice{Found: "sentry at " + s.pkg}
	r, err := topology.ParseRelease(s.version)
	known := err == nil // a checkout may have no version
	if known {
		c.Release = r.String()
		c.Found = "sentry " + c.Release + " at " + s.pkg
	}
	t := sourceTree(s.pkg)
	d, markers, ok := t.dialect()
	regions, _ := t.text(regionFile)
	_, hasCells := t.text(cellFile)
	switch {
	case ok:
		d.Minimal = false
		c.Dialect, c.Warning = d.At(r), newerWarning(r, "its source has the markers of dialect "+d.Name)
		c.Found += " (marker " + markers.String() + ")"
		return c, nil
	case strings.Contains(regions, "subdomain: str"), !known && !hasCells:
		return c, fmt.Errorf("%s has no regions that silo knows: it is older than 22.10.0, or incomplete: %w", c.Found, ErrUnsupported)
	case !known:
		all := Dialects()
		c.Dialect = all[len(all)-1]
		c.Found += " (no known marker, no version)"
		c.Warning = c.Found + " is newer than any known release: it gets the newest dialect, " + c.Dialect.Name
		return c, nil
	}
	c.Dialect, c.Warning, err = DialectOf(r)
	c.Dialect.Minimal = false
	c.Found += " (by its version; no marker)"
	return c, err
}
