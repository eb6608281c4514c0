package devserver

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// region is one entry of the region config.
type region struct {
	Name     string
	ID       int // snowflake id, 0..4095
	Category string
	Address  string // as written: path goes right after it
}

// config is what a sentry.conf.py says of silos. It is immutable.
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

// exception is an error in the words of Python's traceback: class and message.
type exception string

func (e exception) Error() string { return string(e) }

const (
	// errRegionConfig is Sentry's answer to any region that it cannot read
	// (sentry/types/region.py, 23.7.1).
	errRegionConfig exception = "sentry.types.region.RegionConfigurationError: Unable to parse region_config."
	// errRegionID comes from sentry/utils/snowflake.py.
	errRegionID exception = "Exception: Region ID exceed max bit value of 12"
)

// parseConfig reads the text of a sentry.conf.py. A *syntaxError means that
// Python would not load it, any other error that Sentry would not take it.
func parseConfig(file, src string) (*config, error) {
	module, err := assignments(src)
	if err != nil {
		return nil, err
	}
	c := &config{file: file}
	c.control, _ = module["SENTRY_CONTROL_ADDRESS"].(string)
	c.monolith, _ = module["SENTRY_MONOLITH_REGION"].(string)
	declared, found := module["SENTRY_REGION_CONFIG"]
	if cells, later := module["SENTRY_CELLS"]; later { // April 2026, pull request 111932
		declared, found = cells, true
	}
	if !found {
		return c, nil
	}
	if c.regions, err = regions(declared); err != nil {
		return nil, err
	}
	c.categories(module["SENTRY_LOCALITIES"])
	return c, c.validate()
}

// validate holds the regions to what Sentry 23.7.1 demands of them at its start.
// That names and ids are unique, Sentry never asks.
func (c *config) validate() error {
	for _, r := range c.regions {
		if r.ID < 0 || r.ID > maxRegionID {
			return errRegionID
		}
	}
	if _, found := c.find(c.monolith); c.monolith != "" && !found && len(c.regions) > 0 {
		return exception("sentry.types.region.RegionConfigurationError: " + fmt.Sprintf("The SENTRY_MONOLITH_REGION setting must point to a region name (settings.SENTRY_MONOLITH_REGION=%s; region names = %s)",
			quote(c.monolith), quoteAll(names(c.regions))))
	}
	return nil
}

// find is the region of that name.
func (c *config) find(name string) (region, bool) {
	i := slices.IndexFunc(c.regions, func(r region) bool { return r.Name == name })
	if i < 0 {
		return region{}, false
	}
	return c.regions[i], true
}

// noRegion is how Sentry 23.7.1 says that it knows no such region.
func (c *config) noRegion(name string) string {
	known := slices.DeleteFunc(slices.Clone(c.regions), func(r region) bool { return r.Category != multiTenant })
	return fmt.Sprintf("No region with name: %s (expected one of %s or a single-tenant name)", quote(name), quoteAll(names(known)))
}

func names(all []region) []string {
	out := make([]string, len(all))
	for i, r := range all {
		out[i] = r.Name
	}
	return out
}

// quoteAll writes Python's repr of a list of text.
func quoteAll(all []string) string {
	quoted := make([]string, len(all))
	for i, s := range all {
		quoted[i] = quote(s)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// categories takes the regions' categories from the localities that hold them:
// from June 2026 on cells have none of their own (pull request 117558).
func (c *config) categories(localities any) {
	all, _ := localities.([]any)
	for _, one := range all {
		locality, _ := one.(map[string]any)
		cells, _ := locality["cells"].([]any)
		for i, r := range c.regions {
			if category := lastName(locality["category"]); category != "" && slices.Contains(cells, any(r.Name)) {
				c.regions[i].Category = category
			}
		}
	}
}

// regions reads any of the forms that Sentry has had: a tuple or list of Region
// calls or dicts, the same as JSON text, or one of these handed to a class or a
// function that makes Regions of it.
func regions(declared any) ([]region, error) {
	switch value := declared.(type) {
	case string:
		var parsed []any
		if err := json.Unmarshal([]byte(value), &parsed); err != nil {
			return nil, errRegionConfig
		}
		return regions(parsed)
	case *call:
		if len(value.args) == 1 && len(value.named) == 0 {
			return regions(value.args[0])
		}
	case []any:
		all := make([]region, len(value))
		for i, entry := range value {
			r, err := oneRegion(entry)
			if err != nil {
				return nil, err
			}
			all[i] = r
		}
		return all, nil
	}
	return nil, errRegionConfig
}

// oneRegion reads one entry. The order of positional arguments never changed;
// the number is called id up to 23.5.0 and snowflake_id later.
func oneRegion(entry any) (region, error) {
	fields := map[string]any{}
	var positional []any
	switch value := entry.(type) {
	case map[string]any:
		fields = value
	case *call:
		positional, fields = value.args, value.named
	case []any:
		positional = value
	}
	field := func(position int, keys ...string) any {
		for _, key := range keys {
			if value, given := fields[key]; given {
				return value
			}
		}
		if position < len(positional) {
			return positional[position]
		}
		return nil
	}
	r := region{Category: multiTenant}
	var named, placed bool
	r.Name, named = field(0, "name").(string)
	r.Address, placed = field(2, "address").(string)
	id, numbered := field(1, "snowflake_id", "id").(int)
	if f, isFloat := field(1, "snowflake_id", "id").(float64); isFloat { // JSON knows no other number
		id, numbered = int(f), f == float64(int(f))
	}
	r.ID = id
	if category := field(3, "category"); category != nil {
		r.Category = lastName(category)
	}
	if !named || !placed || !numbered || r.Category != multiTenant && r.Category != singleTenant {
		return r, errRegionConfig
	}
	return r, nil
}

// lastName is the name of a member of an enum, however it is written.
func lastName(value any) string {
	switch value := value.(type) {
	case string:
		return value
	case symbol:
		return string(value[strings.LastIndexByte(string(value), '.')+1:])
	}
	return ""
}
