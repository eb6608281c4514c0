package sentry

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"silo/topology"
)

var (
	// ErrUnsupported is wrapped by every error about a Sentry without a dialect,
	// because it is too old or incomplete.
	ErrUnsupported = errors.New("not supported")
	// ErrBroken is wrapped by the error about a release that, because of a bug in
	// Sentry, can run only as a monolith.
	ErrBroken = errors.New("cannot run as silos")
)

// Release is a calendar version of Sentry.
type Release = topology.Release

// anyPatch stands for the last patch release of a month if that is unknown.
const anyPatch = 99

// Dialect describes how a range of Sentry releases configures its regions and launches
// its devserver. It is only data: a new dialect is a new value in Dialects and, if its
// region config has a new form, a new template.
type Dialect struct {
	Name  string
	First Release // the first release with this dialect
	Last  Release // the last one; the zero Release if none is known
	Form  string  // the Python form of the regions, for the user

	// Template names the region config in package templates.
	Template string
	// Fallback are the settings that name the default region, which is also that of a
	// monolith. Sentry does not start if it is not in the list.
	Fallback []string
	// CellCategory reports whether a cell has a category in addition to that of its locality.
	CellCategory bool
	// SplitAddresses reports whether silos may use other addresses than browsers: the
	// address of a region is not compared with system.region-api-url-template.
	SplitAddresses bool
	// RegionMode is SENTRY_SILO_MODE of a region.
	RegionMode string
	// RegionVars are the variables with the name of the region.
	RegionVars []string
	// Secrets reports whether silos sign requests to one another (RPC_SHARED_SECRET
	// and SENTRY_SUBNET_SECRET, from Sentry 23.7.1 on).
	Secrets bool
	// Probes distinguish the modes over HTTP, without a login.
	Probes []Probe
	// Minimal reports whether the region config contains only the region list and the control
	// address, as in Sentry's own guide (src/sentry/silo/README.md, 22.12.0), plus settings for
	// workers and databases. It is true if only the name of the dialect or a release is known
	// and no Sentry was found.
	Minimal bool
	// EarlyAuth reports whether a region asks for the current user before its models
	// are loaded, and fails. Its configuration contains a workaround.
	EarlyAuth bool
	// StrictRegions reports whether the constructor of Region checks the address
	// against the template, also for the regions of Sentry's own tests.
	StrictRegions bool
	// PublicGateway reports whether control forwards a request for an organization to the
	// region's URL for browsers (system.region-api-url-template) and not to its address.
	PublicGateway bool
	// Exceptions are releases in the range that differ from the others.
	Exceptions []Exception
	// Broken is the reason why the detected release cannot run as silos; empty if it can.
	// Its region config can be written anyway. Only At sets it.
	Broken string

	signatures []signature // any of them identifies a source tree
	traits     []trait     // how a source tree may differ from the defaults above
}

// Exception overrides a dialect for some of its releases.
type Exception struct {
	First, Last   Release
	Template      string // replaces the dialect's
	EarlyAuth     bool
	StrictRegions bool
	PublicGateway bool
	Broken        string // why they cannot run as silos; empty if they can
}

// Range formats the releases of the dialect, such as "22.10.0 to 23.3.0" or "26.6.0 on".
func (d Dialect) Range() string {
	if d.Last == (Release{}) {
		return d.First.String() + " on"
	}
	if d.Last.Patch == anyPatch {
		return fmt.Sprintf("%s to %d.%d", d.First, d.Last.Year, d.Last.Month)
	}
	return d.First.String() + " to " + d.Last.String()
}

// At returns the dialect with the exceptions of one release. A development version has
// only those found in its source.
func (d Dialect) At(r Release) Dialect {
	for _, e := range d.Exceptions {
		if r.Dev || r.Compare(e.First) < 0 || r.Compare(e.Last) > 0 {
			continue
		}
		d.Template, d.Broken = cmp.Or(e.Template, d.Template), cmp.Or(e.Broken, d.Broken)
		d.EarlyAuth, d.StrictRegions = d.EarlyAuth || e.EarlyAuth, d.StrictRegions || e.StrictRegions
		d.PublicGateway = d.PublicGateway || e.PublicGateway
	}
	return d
}

// DialectNamed returns the dialect with a name.
func DialectNamed(name string) (Dialect, error) {
	all := Dialects()
	i := slices.IndexFunc(all, func(d Dialect) bool { return d.Name == name })
	if i < 0 {
		return Dialect{}, fmt.Errorf("unknown dialect %q", name)
	}
	return all[i], nil
}

// DialectOf returns the dialect of a release. A release newer than any known one
// gets the newest dialect and a warning, which is otherwise empty. For a release
// before 22.10.0 the error wraps ErrUnsupported.
func DialectOf(r Release) (d Dialect, warning string, err error) {
	for _, candidate := range Dialects() {
		if candidate.First.Compare(r) <= 0 {
			d = candidate.At(r)
		}
	}
	if d.Name == "" {
		return d, "", fmt.Errorf("sentry %s is %w: silos exist from 22.10.0 on", r, ErrUnsupported)
	}
	return d, newerWarning(r, "it gets the newest dialect, "+d.Name), nil
}

// newerWarning warns about a release that is newer than any known one.
func newerWarning(r Release, consequence string) string {
	known := topology.NewestRelease
	if r.Compare(known) <= 0 {
		return ""
	}
	return fmt.Sprintf("sentry %s is newer than any known release (%d.%d): %s", r, known.Year, known.Month, consequence)
}
