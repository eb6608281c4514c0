package sentry

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrUnsupported is wrapped by every error about a release or a dialect that is
// known and cannot be run yet.
var ErrUnsupported = errors.New("not supported yet")

// Dialect is how one range of Sentry releases wants its regions configured and
// its devserver launched. It is data only: a further dialect is one more value
// in Dialects and one more template.
type Dialect struct {
	Name  string
	First Release // the first release that speaks it
	Last  Release // the last one; the zero Release where none is known

	// Template names the region config in package templates. A dialect without
	// one is known and not supported yet.
	Template string
	// BindHost is the host of SENTRY_DEVSERVER_BIND. It is IPv4, since devserver
	// splits the address at its first colon.
	BindHost string
	// RegionMode is SENTRY_SILO_MODE of a region.
	RegionMode string
	// RegionVars are the variables that name the region to itself.
	RegionVars []string
	// Secrets says that silos sign what they send one another
	// (RPC_SHARED_SECRET and SENTRY_SUBNET_SECRET, from Sentry 23.7.1 on).
	Secrets bool
	// Probes tell one mode from the other over HTTP, without a login.
	Probes []Probe
	// Broken are releases in the range that cannot run as silos.
	Broken []Broken

	marks []marks // any of them, all of its marks, identify a source tree
}

// Broken is a release that cannot run as silos by a fault of its own.
type Broken struct {
	Release Release
	Why     string
}

// Supported tells whether silo can run the dialect.
func (d Dialect) Supported() bool { return d.Template != "" }

// Range is the releases of the dialect, as "22.10.0 to 23.3.0" or "26.6.0 on".
func (d Dialect) Range() string {
	if d.Last == (Release{}) {
		return d.First.String() + " on"
	}
	if d.Last.Patch == anyPatch {
		return fmt.Sprintf("%s to %d.%d", d.First, d.Last.Year, d.Last.Month)
	}
	return d.First.String() + " to " + d.Last.String()
}

// DialectNamed finds a dialect by its name. A dialect that is known but not
// supported is returned together with an error that wraps ErrUnsupported.
func DialectNamed(name string) (Dialect, error) {
	all := Dialects()
	i := slices.IndexFunc(all, func(d Dialect) bool { return d.Name == name })
	if i < 0 {
		return Dialect{}, fmt.Errorf("no dialect is called %q", name)
	}
	return all[i], supported(all[i], Release{})
}

// DialectOf finds the dialect of a release. A release newer than any known has
// the newest dialect; the warning, else empty, says so. Errors are as
// DialectNamed's; a release before 22.10.0 has no dialect.
func DialectOf(r Release) (d Dialect, warning string, err error) {
	d, warning, ok := speaks(r)
	if !ok {
		return Dialect{}, "", fmt.Errorf("sentry %s is too old: silos begin with 22.10.0", r)
	}
	return d, warning, supported(d, r)
}

// speaks is the dialect of r, supported or not.
func speaks(r Release) (d Dialect, warning string, ok bool) {
	for _, candidate := range Dialects() {
		if candidate.First.Compare(r) <= 0 {
			d, ok = candidate, true
		}
	}
	if newest := newestKnown(); ok && r.Compare(newest) > 0 {
		warning = fmt.Sprintf("sentry %s is newer than any known here (%d.%d): it gets the newest dialect, %s", r, newest.Year, newest.Month, d.Name)
	}
	return d, warning, ok
}

// supported is nil where silo can run d; r, if known, is named in the error.
func supported(d Dialect, r Release) error {
	for _, broken := range d.Broken {
		if !r.Dev && broken.Release.Compare(r) == 0 {
			return fmt.Errorf("sentry %s: %s: %w", r, broken.Why, ErrUnsupported)
		}
	}
	if d.Supported() {
		return nil
	}
	what := "dialect " + d.Name + " (sentry " + d.Range() + ")"
	if r != (Release{}) {
		what = "sentry " + r.String() + " (dialect " + d.Name + ")"
	}
	return fmt.Errorf("%s is %w: silo runs %s", what, ErrUnsupported, supportedRanges())
}

func supportedRanges() string {
	var all []string
	for _, d := range Dialects() {
		if d.Supported() {
			all = append(all, d.Range()+" ("+d.Name+")")
		}
	}
	return strings.Join(all, " and ")
}
