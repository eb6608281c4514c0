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
	regionCall = regexp.MustCompile(`\bRegion\(\s*["']([^"']+)["']\s*,\s*(\d+)\s*,\s*["']([^"']+)["']\s*(?:,\s*RegionCategory\.(\w+))?`)
	// regionDict is a region in the form that Sentry 23.7 and later read, in Python or
	// JSON: {"name": "us", "snowflake_id": 1, "category": "MULTI_TENANT", "address": "…"}.
	regionDict  = regexp.MustCompile(`\{[^{}]*["']name["'][^{}]*\}`)
	dictName    = dictValue("name")
	dictID      = regexp.MustCompile(`["'](?:snowflake_)?id["']\s*:\s*(\d+)`)
	dictAddress = dictValue("address")
	anyCategory = regexp.MustCompile(`\b(?:MULTI|SINGLE)_TENANT\b`)

	controlAddress = regexp.MustCompile(`(?m)^\s*SENTRY_CONTROL_ADDRESS\s*(?::[^=]*)?=\s*["']([^"']+)["']`)
	commentLine    = regexp.MustCompile(`(?m)^\s*#.*$`)
)

// ParseRegions finds the regions in the text of a sentry.conf.py in order, including
// those in silo's block. It reads only calls and dicts with literal values outside
// comments.
func ParseRegions(text string) []WrittenRegion {
	text = commentLine.ReplaceAllString(text, "")
	var found []WrittenRegion
	for _, dict := range regionDict.FindAllString(text, -1) {
		name, id, address := dictName.FindStringSubmatch(dict), dictID.FindStringSubmatch(dict), dictAddress.FindStringSubmatch(dict)
		if name == nil || id == nil || address == nil {
			continue // a dict of something else
		}
		number, err := strconv.Atoi(id[1])
		if err != nil {
			continue // out of range
		}
		found = append(found, WrittenRegion{Name: name[1], ID: number, Address: strings.TrimRight(address[1], "/"), Category: anyCategory.FindString(dict)})
	}
	for _, m := range regionCall.FindAllStringSubmatch(text, -1) {
		id, err := strconv.Atoi(m[2])
		if err != nil {
			continue // out of range
		}
		found = append(found, WrittenRegion{Name: m[1], ID: id, Address: strings.TrimRight(m[3], "/"), Category: m[4]})
	}
	return found
}

// ParseControlAddress returns the address of the control silo in the text of a
// sentry.conf.py, or "".
func ParseControlAddress(text string) string {
	all := controlAddress.FindAllStringSubmatch(text, -1)
	if len(all) == 0 {
		return ""
	}
	return strings.TrimRight(all[len(all)-1][1], "/") // Python uses the last one
}

// dictValue matches a key of a dict and its string.
func dictValue(key string) *regexp.Regexp {
	return regexp.MustCompile(`["']` + key + `["']\s*:\s*["']([^"']+)["']`)
}
