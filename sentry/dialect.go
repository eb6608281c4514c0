package sentry

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"silo/topology"
)

// Release is a calendar version of Sentry.
type Release = topology.Release

// anyPatch is the last patch of a month that has no known last one.
const anyPatch = 99

var (
	// ErrUnsupported is wrapped by every error about a Sentry that has no dialect,
	// since it is too old, or not a whole Sentry.
	ErrUnsupported = errors.New("not supported")
	// ErrBroken is wrapped by the error about a release that runs as a monolith
	// alone, by a fault of its own.
	ErrBroken = errors.New("cannot run as silos")
)

// Dialect is how one range of Sentry releases wants its regions configured and
// its devserver launched. It is data only: a further dialect is one more value
// in Dialects and, where its region config has another form, one more template.
type Dialect struct {
	Name  string
	First Release // the first release that speaks it
	Last  Release // the last one; the zero Release where none is known
	Form  string  // what its regions are written as, for a person

	// Template names the region config in package templates.
	Template string
	// Fallback are the settings that name the region of what belongs to none,
	// which is also that of a monolith: boot fails where it is not in the list.
	Fallback []string
	// CellCategory says that a cell has a category of its own beside its locality's.
	CellCategory bool
	// SplitAddresses says that silos may call one another by other addresses than
	// browsers call them by: the region's address is not compared with
	// system.region-api-url-template, and the template is what browsers get.
	SplitAddresses bool
	// BindHost is the host of SENTRY_DEVSERVER_BIND. It is IPv4, since devserver
	// splits the address at its first colon.
	BindHost string
	// RegionMode is SENTRY_SILO_MODE of a region.
	RegionMode string
	// RegionVars are the variables that name the region to itself.
	RegionVars []string
	// Defaults are variables of a silo, where neither the topology nor anybody
	// else has set them.
	Defaults []Var
	// Secrets says that silos sign what they send one another
	// (RPC_SHARED_SECRET and SENTRY_SUBNET_SECRET, from Sentry 23.7.1 on).
	Secrets bool
	// Probes tell one mode from the other over HTTP, without a login.
	Probes []Probe
	// Minimal says that the region config is the region list and the control address
	// alone, as Sentry's own guide to silos writes it (src/sentry/silo/README.md,
	// 22.12.0), but for what workers and databases need: only the name of the dialect
	// or a release is known, and no Sentry has been seen that could be told more.
	Minimal bool
	// EarlyAuth says that a region asks who is logged in before it has any
	// models, and ends by that: its configuration has to answer for it.
	EarlyAuth bool
	// StrictRegions says that no Region can be made whose address does not follow
	// from the template: Sentry's own, for tests, neither.
	StrictRegions bool
	// Exceptions are releases in the range that are not like the others.
	Exceptions []Exception
	// Broken is why the release that was found cannot run as silos, though its
	// region config can be written; empty: it can. Only At sets it.
	Broken string

	marks  []marks // any of them, all of its marks, identify a source tree
	traits []trait // what a source tree may say against the defaults above
}

// Exception is what some releases of a dialect have of their own.
type Exception struct {
	First, Last   Release
	Template      string // in place of the dialect's
	EarlyAuth     bool
	StrictRegions bool
	Broken        string // why they cannot run as silos; empty: they can
}

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

// At is the dialect as one release of it speaks it. A checkout on the way to a
// release is like the others, but for what it says itself.
func (d Dialect) At(r Release) Dialect {
	for _, e := range d.Exceptions {
		if r.Dev || r.Compare(e.First) < 0 || r.Compare(e.Last) > 0 {
			continue
		}
		d.Template, d.Broken = cmp.Or(e.Template, d.Template), cmp.Or(e.Broken, d.Broken)
		d.EarlyAuth, d.StrictRegions = d.EarlyAuth || e.EarlyAuth, d.StrictRegions || e.StrictRegions
	}
	return d
}

// DialectNamed finds a dialect by its name.
func DialectNamed(name string) (Dialect, error) {
	all := Dialects()
	i := slices.IndexFunc(all, func(d Dialect) bool { return d.Name == name })
	if i < 0 {
		return Dialect{}, fmt.Errorf("no dialect is called %q", name)
	}
	return all[i], nil
}

// DialectOf finds the dialect of a release. A release newer than any known has
// the newest dialect; the warning, else empty, says so. A release before 22.10.0
// has no dialect: the error wraps ErrUnsupported.
func DialectOf(r Release) (d Dialect, warning string, err error) {
	ok := false
	for _, candidate := range Dialects() {
		if candidate.First.Compare(r) <= 0 {
			d, ok = candidate.At(r), true
		}
	}
	if !ok {
		return Dialect{}, "", fmt.Errorf("sentry %s is %w: silos begin with 22.10.0", r, ErrUnsupported)
	}
	return d, unknown(r, "it gets the newest dialect, "+d.Name), nil
}

// unknown warns of a release that nobody has looked at yet.
func unknown(r Release, consequence string) string {
	known := newestKnown()
	if r.Compare(known) <= 0 {
		return ""
	}
	return fmt.Sprintf("sentry %s is newer than any known here (%d.%d): %s", r, known.Year, known.Month, consequence)
}
