package sentry

import (
	"regexp"
	"strconv"
	"strings"
)

// WrittenRegion is a region in a configuration file that a user wrote.
type WrittenRegion struct {
	Name     string
	ID       int
	Address  string // a URL, as written
	Category string // MULTI_TENANT or SINGLE_TENANT; empty if not written
}

var (
	// regionCall is a region in the form of the Hybrid Cloud notes of 2022:
	// Region("us", 1, "https://us.example.com", RegionCategory.MULTI_TENANT).
	regionCall  = regexp.MustCompile(`\bRegion\(\s*["']([^"']+)["']\s*,\s*(\d+)\s*,\s*["']([^"']+)["']\s*(?:,\s*RegionCategory\.(\w+))?`)
	commentLine = regexp.MustCompile(`(?m)^\s*#.*$`)
)

// ParseRegions finds the regions in the text of a sentry.conf.py in order, including
// those in silo's block. It reads only calls with literal values outside comments.
func ParseRegions(text string) []WrittenRegion {
	var found []WrittenRegion
	for _, m := range regionCall.FindAllStringSubmatch(commentLine.ReplaceAllString(text, ""), -1) {
		id, err := strconv.Atoi(m[2])
		if err != nil {
			continue // out of range
		}
		found = append(found, WrittenRegion{Name: m[1], ID: id, Address: strings.TrimRight(m[3], "/"), Category: m[4]})
	}
	return found
}
