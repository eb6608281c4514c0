package sentry

import (
	"regexp"
	"strconv"
	"strings"
)

// WrittenRegion is a region that somebody has written into a configuration file by hand.
type WrittenRegion struct {
	Name     string
	ID       int
	Address  string // as written, a URL
	Category string // MULTI_TENANT or SINGLE_TENANT; empty where it is not said
}

// regionCall is a region as the Hybrid Cloud notes of 2022 have one write it:
// Region("us", 1, "https://us.example.com", RegionCategory.MULTI_TENANT).
var regionCall = regexp.MustCompile(`\bRegion\(\s*["']([^"']+)["']\s*,\s*(\d+)\s*,\s*["']([^"']+)["']\s*(?:,\s*RegionCategory\.(\w+))?`)

// ParseRegions finds the regions in the text of a sentry.conf.py, silo's own
// block included, in their order. It reads calls with plain values, in no
// comment, and no other form.
func ParseRegions(text string) []WrittenRegion {
	var code strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(strings.TrimSpace(line), "#") {
			code.WriteString(line)
		}
	}
	var found []WrittenRegion
	for _, match := range regionCall.FindAllStringSubmatch(code.String(), -1) {
		id, err := strconv.Atoi(match[2])
		if err != nil {
			continue // more digits than an id has
		}
		found = append(found, WrittenRegion{Name: match[1], ID: id, Address: strings.TrimRight(match[3], "/"), Category: match[4]})
	}
	return found
}
