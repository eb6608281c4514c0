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
	// NewestRelease is the newest Sentry release with a known region config, that
	// of the strict cells (PRs 117558, 118016). A newer release is treated like this
	// one, with a warning.
	NewestRelease = "26.7.0"
)

var releaseRE = regexp.MustCompile(`^v?([0-9]{2})\.([0-9]{1,2})(?:\.([0-9]{1,3}))?`)

// release is a Sentry release: year, month and number (CalVer).
type release [3]int

func (r release) String() string { return fmt.Sprintf("%d.%d.%d", r[0], r[1], r[2]) }

// parseRelease reads a release such as "22.10.0" or "22.10" at the beginning of
// text, and returns the rest.
func parseRelease(text string) (r release, rest string, ok bool) {
	parts := releaseRE.FindStringSubmatch(text)
	if parts == nil {
		return r, "", false
	}
	for i, digits := range parts[1:] {
		r[i], _ = strconv.Atoi(digits) // digits, or "" for 0
	}
	rest = text[len(parts[0]):]
	if strings.HasPrefix(text, "v") {
		rest = text
	}
	return r, rest, r[1] >= 1 && r[1] <= 12
}

func checkDialect(text string) *invalid {
	names := append([]string{"auto"}, dialects()...)
	if slices.Contains(names, text) {
		return nil
	}
	oldest, _, _ := parseRelease(OldestRelease)
	r, rest, ok := parseRelease(text)
	switch {
	case ok && rest != "":
		return &invalid{text: quote(text) + " is not a release", fix: r.String()}
	case ok && slices.Compare(r[:], oldest[:]) < 0:
		return &invalid{text: "release " + r.String() + " is older than " + OldestRelease + ", the first whose regions have an id"}
	case ok:
		return nil
	}
	return &invalid{
		text: quote(text) + " is not auto, a release or one of " + strings.Join(dialects(), ", "),
		fix:  nearest(text, names),
		hint: "silo config dialects lists them with their releases",
	}
}
