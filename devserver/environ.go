package devserver

import (
	"net"
	"slices"
	"strconv"
	"strings"
)

// Silo modes, in Sentry's words (sentry/silo/base.py). CELL took REGION's place
// in March 2026 (pull request 110494).
const (
	modeMonolith = "MONOLITH"
	modeControl  = "CONTROL"
	modeRegion   = "REGION"
	modeCell     = "CELL"
)

// identity is who this process is, as its environment says. It never changes.
type identity struct {
	mode     string // one of the modes
	region   string // of a region, else empty
	name     string // SILO_NAME, or what stands for it
	instance string
	runID    string
}

// isRegion tells a region's process from control's and a monolith's.
func (i identity) isRegion() bool { return i.mode == modeRegion || i.mode == modeCell }

// identify reads the environment. An empty mode is no mode (SiloMode.resolve).
func identify(env func(string) (string, bool)) (identity, error) {
	get := func(name string) string { value, _ := env(name); return value }
	who := identity{mode: get("SENTRY_SILO_MODE"), name: get("SILO_NAME"), instance: get("SILO_INSTANCE"), runID: get("SILO_RUN_ID")}
	switch who.mode {
	case "":
		who.mode = modeMonolith
	case modeMonolith, modeControl:
	case modeRegion, modeCell:
		who.region = get("SENTRY_REGION")
		if who.region == "" {
			who.region = get("SENTRY_LOCAL_CELL")
		}
		if who.region == "" {
			return who, refuse("Exception: SENTRY_REGION must be set when server is in %s silo mode", who.mode)
		}
	default:
		return who, refuse("SENTRY_SILO_MODE must be MONOLITH, CONTROL or REGION, in upper case\nKeyError: %s", quote(who.mode))
	}
	switch {
	case who.name != "":
	case who.isRegion():
		who.name = who.region
	default:
		who.name = strings.ToLower(who.mode)
	}
	return who, nil
}

// check refuses a config in which this silo has no place.
func (i identity) check(c *config) error {
	switch {
	case i.mode == modeMonolith:
		return nil
	case len(c.regions) == 0:
		return refuse("Exception: %s has no SENTRY_REGION_CONFIG, and a server in %s silo mode needs one", c.file, i.mode)
	case i.isRegion() && !slices.ContainsFunc(c.regions, func(r region) bool { return r.Name == i.region }):
		return refuse("sentry.types.region.RegionResolutionError: %s", c.noRegion(i.region))
	}
	return nil
}

// address is where to listen.
type address struct {
	host string
	port int
}

func (a address) String() string { return net.JoinHostPort(a.host, strconv.Itoa(a.port)) }

// parseBind splits on the first colon and reads the rest as a number, as
// sentry/runner/commands/devserver.py does: IPv6 cannot be written.
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
