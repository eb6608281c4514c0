package devserver

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// region is one entry of the region config.
type region struct {
	Name     string `json:"name"`
	ID       *int   `json:"snowflake_id"` // 0..4095
	Category string `json:"category"`
	Address  string `json:"address"` // request paths are appended to it
}

// config is the part of sentry.conf.py that concerns silos. It is immutable.
type config struct {
	file     string
	regions  []region // in the order of the file
	control  string   // SENTRY_CONTROL_ADDRESS, or empty
	monolith string   // SENTRY_MONOLITH_REGION, or empty
}

const (
	multiTenant  = "MULTI_TENANT"
	singleTenant = "SINGLE_TENANT"
	maxRegionID  = 1<<12 - 1 // sentry/utils/snowflake.py: REGION_ID has 12 bits
)

// exception is an error printed as a Python traceback prints it: class and message.
type exception string

func (e exception) Error() string { return string(e) }

const (
	// errRegionConfig is Sentry's error for every region that it cannot parse
	// (sentry/types/region.py, 23.7.1).
	errRegionConfig exception = "sentry.types.region.RegionConfigurationError: Unable to parse region_config."
	// errRegionID comes from sentry/utils/snowflake.py.
	errRegionID exception = "Exception: Region ID exceed max bit value of 12"
)

var (
	// A top-level assignment: one line, or a block that ends with a bracket at the margin.
	assignment = regexp.MustCompile(`(?m)^(SENTRY_\w+) = (.*[^(\[\s])\s*$|^(SENTRY_\w+) = ((?s:.*?)\n[)\]])`)
	// One region: a tuple, the same tuple passed to Region, or a dict.
	entry = regexp.MustCompile(`(?:Region)?\(("[^"]*"), (-?\d+), ("[^"]*"), (?:RegionCategory\.(\w+)|"(\w+)")\),?|\{[^{}]*\},?`)
	// The text around the regions in every form that silo writes.
	wrapper = regexp.MustCompile(`^(?:_SiloRegions)?[()\[\]\s]*$`)
)

// parseConfig reads the forms of region config that silo writes. A *syntaxError means
// that Python could not load the file, any other error that Sentry would reject it.
func parseConfig(file, src string) (*config, error) {
	src = strings.ReplaceAll(strings.TrimPrefix(src, "\ufeff"), "\r\n", "\n")
	if err := checkBrackets(src); err != nil {
		return nil, err
	}
	settings := map[string]string{}
	for _, m := range assignment.FindAllStringSubmatch(src, -1) {
		settings[m[1]+m[3]] = m[2] + m[4]
	}
	c := &config{file: file, control: text(settings["SENTRY_CONTROL_ADDRESS"]), monolith: text(settings["SENTRY_MONOLITH_REGION"])}
	declared, found := settings["SENTRY_CELLS"] // since April 2026, pull request 111932
	if !found {
		declared, found = settings["SENTRY_REGION_CONFIG"]
	}
	if !found {
		return c, nil
	}
	var err error
	if c.regions, err = parseRegions(declared, categories(settings["SENTRY_LOCALITIES"])); err != nil {
		return nil, err
	}
	return c, c.validate()
}

// text returns the value of a double-quoted Python string literal, or "" for anything
// else.
func text(literal string) string {
	var s string
	if json.Unmarshal([]byte(literal), &s) != nil {
		return ""
	}
	return s
}

// categories maps each cell to the category of its locality. Since June 2026 cells have no category
// (pull request 117558).
func categories(localities string) map[string]string {
	of := map[string]string{}
	for _, dict := range entry.FindAllString(localities, -1) {
		var locality struct {
			Category string   `json:"category"`
			Cells    []string `json:"cells"`
		}
		if json.Unmarshal([]byte(strings.TrimSuffix(dict, ",")), &locality) == nil {
			for _, cell := range locality.Cells {
				of[cell] = locality.Category
			}
		}
	}
	return of
}

// parseRegions parses the value of a region list. A region that has no category takes
// that of its locality, or else MULTI_TENANT.
func parseRegions(list string, localities map[string]string) ([]region, error) {
	if !wrapper.MatchString(entry.ReplaceAllString(list, "")) {
		return nil, errRegionConfig
	}
	var all []region
	for _, m := range entry.FindAllStringSubmatch(list, -1) {
		r := region{Name: text(m[1]), Address: text(m[3]), Category: m[4] + m[5]}
		if m[2] != "" {
			id, err := strconv.Atoi(m[2])
			if err != nil {
				return nil, errRegionID
			}
			r.ID = &id
		} else if json.Unmarshal([]byte(strings.TrimSuffix(m[0], ",")), &r) != nil {
			return nil, errRegionConfig
		}
		if r.Category == "" {
			r.Category = multiTenant
		}
		if of := localities[r.Name]; of != "" {
			r.Category = of
		}
		if r.Name == "" || r.Address == "" || r.ID == nil || r.Category != multiTenant && r.Category != singleTenant {
			return nil, errRegionConfig
		}
		all = append(all, r)
	}
	return all, nil
}

// validate performs the checks of Sentry 23.7.1 at startup. Sentry does not check that names and
// ids are unique.
func (c *config) validate() error {
	for _, r := range c.regions {
		if *r.ID < 0 || *r.ID > maxRegionID {
			return errRegionID
		}
	}
	if _, found := c.find(c.monolith); c.monolith != "" && !found && len(c.regions) > 0 {
		return exception("sentry.types.region.RegionConfigurationError: " + fmt.Sprintf("The SENTRY_MONOLITH_REGION setting must point to a region name (settings.SENTRY_MONOLITH_REGION=%s; region names = %s)",
			quote(c.monolith), quoteNames(c.regions)))
	}
	return nil
}

// find returns the region with that name.
func (c *config) find(name string) (region, bool) {
	i := slices.IndexFunc(c.regions, func(r region) bool { return r.Name == name })
	if i < 0 {
		return region{}, false
	}
	return c.regions[i], true
}

// unknownRegion returns the message of Sentry 23.7.1 for a region that is not configured.
func (c *config) unknownRegion(name string) string {
	known := slices.DeleteFunc(slices.Clone(c.regions), func(r region) bool { return r.Category != multiTenant })
	return fmt.Sprintf("No region with name: %s (expected one of %s or a single-tenant name)", quote(name), quoteNames(known))
}

// quoteNames formats the names of regions as Python's repr formats a list.
func quoteNames(regions []region) string {
	quoted := make([]string, len(regions))
	for i, r := range regions {
		quoted[i] = quote(r.Name)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}
