package sentry

// newestKnown is the newest month of Sentry that the last dialect was read from.
func newestKnown() Release { return Release{Year: 26, Month: 11, Patch: anyPatch} }

// Dialects are all dialects, oldest first. The result is the caller's.
//
// Ranges up to 23.7.1 are read from the published wheels (sentry/types/region.py,
// sentry/conf/server.py, sentry/runner/initializer.py); later ones from the
// merge dates of the pull requests named, and so from the monthly release that
// followed.
func Dialects() []Dialect {
	return []Dialect{
		{
			Name: "tuple-id", First: Release{Year: 22, Month: 10}, Last: Release{Year: 23, Month: 3},
			Template: "tuple-id", BindHost: loopback, RegionMode: "REGION", RegionVars: []string{"SENTRY_REGION"},
			Probes: apiProbes(),
			Broken: []Broken{{Release{Year: 22, Month: 12}, "a region of this release cannot boot (AppRegistryNotReady while sentry.conf.py is loaded, a fault of the release): take 22.11.0 or 23.1.1"}},
			marks:  []marks{{{File: regionFile, Text: "\n    id: int"}}},
		},
		{ // the constructor compares the address with system.region-api-url-template
			Name: "tuple-template", First: Release{Year: 23, Month: 3, Patch: 1}, Last: Release{Year: 23, Month: 5},
			marks: []marks{{{File: regionFile, Text: "Expected address for"}}},
		},
		{
			Name: "tuple-snowflake", First: Release{Year: 23, Month: 5, Patch: 1}, Last: Release{Year: 23, Month: 5, Patch: 2},
			marks: []marks{{{File: regionFile, Text: "snowflake_id: int"}}},
		},
		{ // 49956: regions as a JSON string
			Name: "tuple-json", First: Release{Year: 23, Month: 6}, Last: Release{Year: 23, Month: 6, Patch: 2},
			marks: []marks{{{File: "runner/initializer.py", Text: "def validate_regions"}, {File: regionFile}}},
		},
		{ // 51839: regions as dicts, usable from 23.7.0 on
			Name: "dict", First: Release{Year: 23, Month: 7}, Last: Release{Year: 23, Month: 11, Patch: anyPatch},
			Template: "dict", BindHost: loopback, RegionMode: "REGION", RegionVars: []string{"SENTRY_REGION"}, Secrets: true,
			Probes: apiProbes(),
			marks: []marks{
				{{File: regionFile, Text: "must point to a region name"}, {File: settingsFile, Text: "SENTRY_USE_SILOS"}},
				{{File: regionFile, Text: "parse_obj_as"}, {File: regionFile, Text: "Expected address for", Absent: true}},
			},
		},
		{ // 60836: devserver --silo
			Name: "dict-silo", First: Release{Year: 23, Month: 12}, Last: Release{Year: 25, Month: 2, Patch: anyPatch},
			marks: []marks{{{File: regionFile}, {File: settingsFile, Text: "SENTRY_SILO_DEVSERVER"}}},
		},
		{ // 86599: nothing but a list of dicts
			Name: "list", First: Release{Year: 25, Month: 3}, Last: Release{Year: 26, Month: 2, Patch: anyPatch},
			marks: []marks{{{File: regionFile}, {File: "conf/types/region_config.py"}}},
		},
		{ // 108410: localities, the mode CELL
			Name: "cells-transition", First: Release{Year: 26, Month: 3}, Last: Release{Year: 26, Month: 3, Patch: anyPatch},
			marks: []marks{
				{{File: cellFile}},
				{{File: regionFile, Text: "class Locality"}, {File: "conf/types/region_config.py"}},
			},
		},
		{ // 111932: SENTRY_CELLS
			Name: "cells", First: Release{Year: 26, Month: 4}, Last: Release{Year: 26, Month: 5, Patch: anyPatch},
			marks: []marks{{{File: cellFile, Text: "settings.SENTRY_CELLS"}}},
		},
		{ // 117558, 117545: no category, SENTRY_FALLBACK_CELL
			Name: "cells-strict", First: Release{Year: 26, Month: 6},
			marks: []marks{{{File: cellFile, Text: "settings.SENTRY_CELLS"}, {File: "conf/types/cell_config.py", Class: "CellConfig", Text: "\n    category", Absent: true}}},
		},
	}
}

const (
	loopback     = "127.0.0.1"
	regionFile   = "types/region.py"
	cellFile     = "types/cell.py"
	settingsFile = "conf/server.py"
)

// apiProbes were measured on 22.11.0, 23.5.2 and 23.7.1: an endpoint that lives
// in the other mode is not found, one that lives here wants a login.
func apiProbes() []Probe {
	return []Probe{
		{Path: "/api/0/organizations/", Control: 404, Region: 401},
		{Path: "/api/0/users/me/", Control: 401, Region: 404},
	}
}
