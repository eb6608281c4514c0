package topology

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Release is a calendar version of Sentry: year, month, patch.
type Release struct {
	Year, Month, Patch int
	Dev                bool // a checkout before this release ("22.12.0.dev0")
}

var (
	// oldestRelease is the first Sentry release whose regions have an id (PR 39356).
	oldestRelease = Release{Year: 22, Month: 10}
	// NewestRelease is the last release of the newest month with a known region config,
	// the strict cells (PRs 117558, 118016). Newer releases are treated like it, with a
	// warning.
	NewestRelease = Release{Year: 26, Month: 11, Patch: 99}
)

var releaseRE = regexp.MustCompile(`^(\d{1,4})\.(\d{1,2})(?:\.(\d{1,6}))?(\.?dev\d*|rc\d+|[+-].*)?$`)

// ParseRelease parses "22.11.0", "22.11", "22.12.0.dev0", and the suffixes that
// `sentry --version` and wheel names may have. A missing patch is 0.
func ParseRelease(s string) (Release, error) {
	m := releaseRE.FindStringSubmatch(s)
	if m == nil {
		return Release{}, fmt.Errorf("parse Sentry release %q: expected a version such as 22.11.0", s)
	}
	number := func(digits string) int {
		n, _ := strconv.Atoi(digits) // at most six digits, or none for a missing patch
		return n
	}
	r := Release{Year: number(m[1]), Month: number(m[2]), Patch: number(m[3])}
	r.Dev = m[4] != "" && m[4][0] != '+' && m[4][0] != '-'
	return r, nil
}

// String formats the release as Sentry does.
func (r Release) String() string {
	s := fmt.Sprintf("%d.%d.%d", r.Year, r.Month, r.Patch)
	if r.Dev {
		s += ".dev0"
	}
	return s
}

// Compare orders releases by year, month and patch. A development version equals
// its release.
func (r Release) Compare(other Release) int {
	return cmp.Or(cmp.Compare(r.Year, other.Year), cmp.Compare(r.Month, other.Month), cmp.Compare(r.Patch, other.Patch))
}

func checkDialect(text string) *invalid {
	names := append([]string{"auto"}, dialects()...)
	if slices.Contains(names, text) {
		return nil
	}
	r, err := ParseRelease(strings.TrimPrefix(text, "v"))
	r.Dev = false
	switch {
	case err != nil, r.Year < 10, r.Month < 1, r.Month > 12:
		return &invalid{
			text: quote(text) + " is not auto, a release or one of " + strings.Join(dialects(), ", "),
			fix:  nearest(text, names),
			hint: "silo config dialects lists them with their releases",
		}
	case !strings.HasPrefix(r.String(), text):
		return &invalid{text: quote(text) + " is not a release", fix: r.String()}
	case r.Compare(oldestRelease) < 0:
		return &invalid{text: "release " + r.String() + " is older than " + oldestRelease.String() + ", the first whose regions have an id"}
	}
	return nil
}
