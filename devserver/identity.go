package devserver

import (
	"net"
	"slices"
	"strconv"
	"strings"
)

// Silo modes (sentry/silo/base.py). CELL replaced REGION in March 2026 (pull request
// 110494).
const (
	modeMonolith = "MONOLITH"
	modeControl  = "CONTROL"
	modeRegion   = "REGION"
	modeCell     = "CELL"
)

// identity is the silo that this process represents, according to its environment. It never changes.
type identity struct {
	mode     string // one of the modes
	region   string // a region's name, else empty
	name     string // SILO_NAME, else the region, else the mode in lower case
	instance string
	runID    string
}

// isRegion reports whether this is a region or a cell.
func (i identity) isRegion() bool { return i.mode == modeRegion || i.mode == modeCell }

// identify reads the environment. An empty mode counts as unset (SiloMode.resolve).
func identify(env func(string) (string, bool)) (identity, error) {
	get := func(name string) string { value, _ := env(name); return value }
	id := identity{mode: get("SENTRY_SILO_MODE"), name: get("SILO_NAME"), instance: get("SILO_INSTANCE"), runID: get("SILO_RUN_ID")}
	switch id.mode {
	case "":
		id.mode = modeMonolith
	case modeMonolith, modeControl:
	case modeRegion, modeCell:
		id.region = get("SENTRY_REGION")
		if id.region == "" {
			id.region = get("SENTRY_LOCAL_CELL")
		}
		if id.region == "" {
			return id, refuse("Exception: SENTRY_REGION must be set when server is in %s silo mode", id.mode)
		}
	default:
		return id, refuse("SENTRY_SILO_MODE must be MONOLITH, CONTROL or REGION, in upper case\nKeyError: %s", quote(id.mode))
	}
	switch {
	case id.name != "":
	case id.isRegion():
		id.name = id.region
	default:
		id.name = strings.ToLower(id.mode)
	}
	return id, nil
}

// check returns an error if the config does not cover this silo.
func (i identity) check(c *config) error {
	switch {
	case i.mode == modeMonolith:
		return nil
	case len(c.regions) == 0:
		return refuse("Exception: %s has no SENTRY_REGION_CONFIG, and a server in %s silo mode needs one", c.file, i.mode)
	case i.isRegion() && !slices.ContainsFunc(c.regions, func(r region) bool { return r.Name == i.region }):
		return refuse("sentry.types.region.RegionResolutionError: %s", c.unknownRegion(i.region))
	}
	return nil
}

// address is a host and a port to listen on.
type address struct {
	host string
	port int
}

func (a address) String() string { return net.JoinHostPort(a.host, strconv.Itoa(a.port)) }

// parseBind splits at the first colon and parses the rest as a number, as
// sentry/runner/commands/devserver.py does. So an IPv6 address is an error.
func parseBind(bind string) (address, error) {
	host, digits, found := strings.Cut(bind, ":")
	if !found {
		return address{}, refuse("expected <host>:<port>, got %s", bind)
	}
	port, err := strconv.Atoi(strings.TrimSpace(digits))
	if err != nil {
		return address{}, refuse("ValueError: invalid literal for int() with base 10: %s", quote(digits))
	}
	if port < 0 || port > 65535 {
		return address{}, refuse("OverflowError: port must be 0-65535, got %d", port)
	}
	return address{host: host, port: port}, nil
}
