package sentry

import (
	"net/http"

	"silo/topology"
)

// Probe is a request whose status tells a control silo from a region.
type Probe struct {
	Path            string
	Control, Region int // the status that each answers with
}

// ClassifyMode reads the statuses that d.Probes got, in their order, as a mode. Only
// the plain signature of CONTROL or REGION is conclusive: any program that
// serves its health path may be a silo, and such a one answers what it likes. A
// devserver that answers everything as if it were at home is named MONOLITH,
// which is a guess and never conclusive.
func (d Dialect) ClassifyMode(got []int) (mode string, conclusive bool) {
	if len(got) != len(d.Probes) || len(got) == 0 {
		return "", false
	}
	control, region, home := true, true, true
	for i, probe := range d.Probes {
		status := got[i]
		if status == http.StatusForbidden { // how 23.1.1 asks for a login
			status = http.StatusUnauthorized
		}
		control = control && status == probe.Control
		region = region && status == probe.Region
		home = home && status == min(probe.Control, probe.Region) // 401 rather than 404
	}
	switch {
	case control:
		return "CONTROL", true
	case region:
		return "REGION", true
	case home:
		return "MONOLITH", false
	}
	return "", false
}

// HealthPort is the port on which a silo's backend itself answers: with watchers
// webpack takes port and the backend the next one
// (sentry/runner/commands/devserver.py, all releases).
func HealthPort(s topology.Silo, port int) int {
	if s.Watchers {
		return port + 1
	}
	return port
}
