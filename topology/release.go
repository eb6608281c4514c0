package topology

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const (
	// OldestRelease is the first Sentry release whose regions have an id (PR 39356).
	OldestRelease = "22.10.0"
	// NewestRelease is the newest Sentry release whose region config is known, that
	// of the strict cells (PRs 117558, 118016). A newer one is taken for alike, with
	// a warning.
	NewestRelease = "26.7.0"
)

var releaseShape = regexp.MustCompile(`^v?([0-9]{2})\.([0-9]{1,2})(?:\.([0-9]{1,3}))?`)

// release is a Sentry release: year, month and number (CalVer).
type release [3]int

func (r release) String() string { return fmt.Sprintf("%d.%d.%d", r[0], r[1], r[2]) }

// parseRelease reads "22.10.0" or "22.10" as far as it is one, and gives the rest.
func parseRelease(text string) (r release, rest string, ok bool) {
	found := releaseShape.FindStringSubmatch(text)
	if found == nil {
		return r, "", false
	}
	for i, digits := range found[1:] {
		r[i], _ = strconv.Atoi(digits) // digits, or "" for the 0 it stands for
	}
	rest = text[len(found[0]):]
	if strings.HasPrefix(text, "v") {
		rest = text
	}
	return r, rest, r[1] >= 1 && r[1] <= 12
}

// olderThan compares with a release that is known to be one.
func (r release) olderThan(text string) bool {
	other, _, _ := parseRelease(text)
	return slices.Compare(r[:], other[:]) < 0
}

func dialectFault(text string) fault {
	names := append([]string{"auto"}, dialects()...)
	if slices.Contains(names, text) {
		return fault{}
	}
	r, rest, ok := parseRelease(text)
	switch {
	case ok && rest != "":
		return fault{text: quote(text) + " is not a release", mend: r.String()}
	case ok && r.olderThan(OldestRelease):
		return fault{text: "release " + r.String() + " is older than " + OldestRelease + ", the first whose regions have an id"}
	case ok:
		return fault{}
	}
	return fault{
		text: quote(text) + " is not auto, a release or one of " + strings.Join(dialects(), ", "),
		mend: nearest(text, names),
		hint: "silo config dialects lists them, with their releases",
	}
}
