package sentry

import "slices"

// Dialects returns all dialects, oldest first.
//
// Ranges up to 23.7.1 come from the published wheels (sentry/types/region.py,
// sentry/conf/server.py, sentry/runner/initializer.py). Later ones come from the
// merge dates of the pull requests named below: they begin with the next monthly
// release. Each value contains only the changes since the previous one.
func Dialects() []Dialect {
	tupleID := Dialect{
		Name: "tuple-id", First: Release{Year: 22, Month: 10}, Last: Release{Year: 23, Month: 3},
		Form: "a tuple of Region objects", Template: "tuple-id", Minimal: true,
		RegionMode: "REGION", RegionVars: []string{"SENTRY_REGION"}, Probes: apiProbes(),
		Exceptions: []Exception{
			earlyAuth(),
			{ // creating a Region while sentry.conf.py is loaded causes a circular import there
				First: Release{Year: 22, Month: 12}, Last: Release{Year: 22, Month: 12}, Template: "tuple-lazy",
				Broken: "a region of this release cannot start (AppRegistryNotReady): use 22.11.0 or 23.1.1",
			},
		},
		traits:     earlyAuthTraits(),
		signatures: []signature{{{File: regionFile, Text: "\n    id: int"}}},
	}

	// The address is compared with system.region-api-url-template: in the
	// constructor in 23.3.1, at startup from 23.4.0 on.
	template := tupleID
	template.Name, template.First, template.Last = "tuple-template", Release{Year: 23, Month: 3, Patch: 1}, Release{Year: 23, Month: 5}
	template.Minimal = false
	template.Form, template.Template, template.Exceptions = "a tuple of Region objects, created on first use", "tuple-lazy", []Exception{
		earlyAuth(),
		// With DEBUG, URLs load sentry/testutils/silo.py, which creates its own Regions:
		// a silo answers 500 except on its health path. 23.4.0 creates them unchecked.
		{First: Release{Year: 23, Month: 3, Patch: 1}, Last: Release{Year: 23, Month: 3, Patch: 1}, StrictRegions: true},
	}
	template.traits = append(earlyAuthTraits(), trait{pattern: pattern{File: regionFile, Class: "Region:", Text: "def __post_init__"}, StrictRegions: true})
	template.signatures = []signature{{{File: regionFile, Text: "Expected address for"}}}

	snowflake := template
	snowflake.Name, snowflake.First, snowflake.Last = "tuple-snowflake", Release{Year: 23, Month: 5, Patch: 1}, Release{Year: 23, Month: 5, Patch: 2}
	snowflake.traits = nil
	snowflake.signatures = []signature{{{File: regionFile, Text: "snowflake_id: int"}}}

	// 49956: SENTRY_MONOLITH_REGION. JSON text is accepted, but not yet a list of
	// dicts.
	json := snowflake
	json.Name, json.First, json.Last = "tuple-json", Release{Year: 23, Month: 6}, Release{Year: 23, Month: 6, Patch: 2}
	json.Fallback = []string{monolithRegion}
	json.signatures = []signature{{{File: "runner/initializer.py", Text: "def validate_regions"}, {File: regionFile}}}

	// 51839: regions as dicts, usable from 23.7.0 on; signed requests from 23.7.1 on.
	dict := json
	dict.Name, dict.First, dict.Last = "dict", Release{Year: 23, Month: 7}, Release{Year: 23, Month: 11, Patch: anyPatch}
	dict.Form, dict.Template, dict.SplitAddresses, dict.Secrets = "a list of dicts", "dict", true, true
	// From 23.8.0 on, control's gateway takes Region.address again, as before 23.7.0.
	dict.Exceptions = []Exception{{First: Release{Year: 23, Month: 7}, Last: Release{Year: 23, Month: 7, Patch: 1}, PublicGateway: true}}
	dict.traits = []trait{{pattern: pattern{File: "api_gateway/proxy.py", Text: "region.to_url("}, PublicGateway: true}}
	dict.signatures = []signature{
		{{File: regionFile, Text: "must point to a region name"}, {File: settingsFile, Text: "SENTRY_USE_SILOS"}},
		{{File: regionFile, Text: "parse_obj_as"}, {File: regionFile, Text: "Expected address for", Absent: true}},
	}

	// 60836: devserver --silo. That flag supports only one region, us; a devserver
	// without it runs any region by its variables.
	silo := dict
	silo.Name, silo.First, silo.Last = "dict-silo", Release{Year: 23, Month: 12}, Release{Year: 25, Month: 2, Patch: anyPatch}
	silo.Probes, silo.Exceptions, silo.traits = pinnedProbes(), nil, nil
	silo.signatures = []signature{{{File: regionFile}, {File: settingsFile, Text: "SENTRY_SILO_DEVSERVER"}}}

	// 86599: only a list of dicts.
	list := silo
	list.Name, list.First, list.Last = "list", Release{Year: 25, Month: 3}, Release{Year: 26, Month: 2, Patch: anyPatch}
	list.signatures = []signature{{{File: regionFile}, {File: "conf/types/region_config.py"}}}

	// 108410: localities, generated if none are set; 110494: the mode CELL.
	transition := list
	transition.Name, transition.First, transition.Last = "cells-transition", Release{Year: 26, Month: 3}, Release{Year: 26, Month: 3, Patch: anyPatch}
	transition.RegionMode, transition.RegionVars = "CELL", []string{"SENTRY_REGION", localCell}
	transition.signatures = []signature{
		{{File: cellFile, Text: "settings.SENTRY_REGION_CONFIG"}},
		{{File: regionFile, Text: "class Locality"}, {File: "conf/types/region_config.py"}},
	}
	transition.traits = slices.Concat(transition.traits, modeTraits(), fallbackTraits())

	// 111932: SENTRY_CELLS and SENTRY_LOCAL_CELL, first set from the variable
	// SENTRY_REGION (sentry/conf/server.py of April 2026).
	cells := transition
	cells.Name, cells.First, cells.Last = "cells", Release{Year: 26, Month: 4}, Release{Year: 26, Month: 5, Patch: anyPatch}
	cells.Form, cells.Template, cells.CellCategory = "lists of cells and of localities", "cells", true
	cells.signatures = []signature{{{File: cellFile, Text: "settings.SENTRY_CELLS"}}}

	// 117558: cells have no category; 117462: localities are required; 117545 and
	// 118016: SENTRY_FALLBACK_CELL replaces SENTRY_MONOLITH_REGION. One release may
	// have both.
	strict := cells
	strict.Name, strict.First, strict.Last = "cells-strict", Release{Year: 26, Month: 6}, Release{}
	strict.Form, strict.CellCategory = "lists of cells, without a category, and of localities", false
	strict.Fallback = []string{monolithRegion, fallbackCell}
	strict.signatures = []signature{{{File: cellFile, Text: "settings.SENTRY_CELLS"}, {File: "conf/types/cell_config.py", Class: "CellConfig", Text: "\n    category", Absent: true}}}

	return []Dialect{tupleID, template, snowflake, json, dict, silo, list, transition, cells, strict}
}

const (
	regionFile   = "types/region.py"
	cellFile     = "types/cell.py"
	settingsFile = "conf/server.py"

	monolithRegion = "SENTRY_MONOLITH_REGION"
	fallbackCell   = "SENTRY_FALLBACK_CELL"
	localCell      = "SENTRY_LOCAL_CELL"
)

// earlyAuth are the releases whose regions fail with AppRegistryNotReady, even without
// silo: before any application is loaded, reading an option imports
// sentry/services/hybrid_cloud/auth and with it Django's user model. 23.4.0 defers that
// import.
func earlyAuth() Exception {
	return Exception{First: Release{Year: 22, Month: 12}, Last: Release{Year: 23, Month: 3, Patch: 1}, EarlyAuth: true}
}

// earlyAuthTraits recognize such releases by their source.
func earlyAuthTraits() []trait {
	return []trait{{pattern: pattern{File: "services/hybrid_cloud/auth/__init__.py", Text: "\nfrom django.contrib.auth.models import AnonymousUser"}, EarlyAuth: true}}
}

// modeTraits recognize the name that a source tree has for the mode of regions
// (sentry/silo/base.py, SiloMode; 110494 and 110679).
func modeTraits() []trait {
	return []trait{
		{pattern: pattern{File: "silo/base.py", Class: "SiloMode", Text: "\n    REGION = "}, RegionMode: "REGION"},
		{pattern: pattern{File: "silo/base.py", Class: "SiloMode", Text: "\n    CELL = "}, RegionMode: "CELL"},
	}
}

// fallbackTraits recognize the fallback settings of a source tree.
func fallbackTraits() []trait {
	return []trait{
		{pattern: pattern{File: settingsFile, Text: "\n" + monolithRegion}, Fallback: monolithRegion},
		{pattern: pattern{File: settingsFile, Text: "\n" + fallbackCell}, Fallback: fallbackCell},
	}
}

// apiProbes were measured on 22.11.0, 23.5.2 and 23.7.1: an endpoint of the other
// mode is not found, one of this mode requires a login.
func apiProbes() []Probe {
	return []Probe{
		{Path: "/api/0/organizations/", Control: 404, Region: 401},
		{Path: "/api/0/users/me/", Control: 401, Region: 404},
	}
}

// pinnedProbes are for releases whose control forwards /api/0/organizations/ to a
// region (sentry/conf/server.py, REGION_PINNED_URL_NAMES), but answers 404 for an
// organization that does not exist (sentry/hybridcloud/apigateway/apigateway.py). The
// answers of regions were measured on 23.7.1; those of control come from the source.
func pinnedProbes() []Probe {
	return []Probe{
		{Path: "/api/0/organizations/no-such-organization-/projects/", Control: 404, Region: 401},
		{Path: "/api/0/users/me/", Control: 401, Region: 404},
	}
}
