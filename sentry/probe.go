package sentry

import (
	"net/http"

	"silo/topology"
)

// Probe is a request whose status distinguishes a control silo from a region.
type Probe struct {
	Path            string
	Control, Region int // the status of each
}

// ClassifyMode derives the mode from the statuses of d.Probes, in their order. Only the
// exact signature of CONTROL or REGION is conclusive, because any program that serves
// its health path may be a silo. A devserver that serves all endpoints is reported as
// MONOLITH, which is never conclusive.
func (d Dialect) ClassifyMode(got []int) (mode string, conclusive bool) {
	if len(got) != len(d.Probes) || len(got) == 0 {
		return "", false
	}
	control, region, both := true, true, true
	for i, probe := range d.Probes {
		status := got[i]
		if status == http.StatusForbidden { // 23.1.1 answers this instead of 401
			status = http.StatusUnauthorized
		}
		control = control && status == probe.Control
		region = region && status == probe.Region
		both = both && status == min(probe.Control, probe.Region) // 401, not 404
	}
	switch {
	case control:
		return "CONTROL", true
	case region:
		return "REGION", true
	case both:
		return "MONOLITH", false
	}
	return "", false
}

// HealthPort returns the port of a silo's backend: with watchers, webpack listens on
// port and the backend on the next one (sentry/runner/commands/devserver.py, all
// releases).
func HealthPort(s topology.Silo, port int) int {
	if s.Watchers {
		return port + 1
	}
	return port
}
