package sentry

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
)

// anyPatch stands for the last patch of a month that has no known last one.
const anyPatch = 99

// Release is a calendar version of Sentry: year, month, patch.
type Release struct {
	Year, Month, Patch int
	Dev                bool // a checkout on the way to this release ("22.12.0.dev0")
}

var releaseForm = regexp.MustCompile(`^(\d{1,4})\.(\d{1,2})(?:\.(\d{1,6}))?(\.?dev\d*|rc\d+|[+-].*)?$`)

// ParseRelease reads "22.11.0", "22.11", "22.12.0.dev0" and what `sentry
// --version` or a wheel's name may hang on. A missing patch is 0.
func ParseRelease(s string) (Release, error) {
	m := releaseForm.FindStringSubmatch(s)
	if m == nil {
		return Release{}, fmt.Errorf("read %q as a Sentry release: want the form 22.11.0", s)
	}
	number := func(digits string) int {
		n, _ := strconv.Atoi(digits) // at most six digits, or none for a missing patch
		return n
	}
	r := Release{Year: number(m[1]), Month: number(m[2]), Patch: number(m[3])}
	r.Dev = m[4] != "" && m[4][0] != '+' && m[4][0] != '-'
	return r, nil
}

// String is the release as Sentry writes it.
func (r Release) String() string {
	s := fmt.Sprintf("%d.%d.%d", r.Year, r.Month, r.Patch)
	if r.Dev {
		s += ".dev0"
	}
	return s
}

// Compare orders releases by year, month and patch; what is still in
// development counts as the release itself.
func (r Release) Compare(other Release) int {
	return cmp.Or(cmp.Compare(r.Year, other.Year), cmp.Compare(r.Month, other.Month), cmp.Compare(r.Patch, other.Patch))
}
