package sentry

import "slices"

// newestKnown is the newest month of Sentry that the last dialect was read from.
func newestKnown() Release { return Release{Year: 26, Month: 11, Patch: anyPatch} }

// Dialects are all dialects, oldest first. The result is the caller's.
//
// Ranges up to 23.7.1 are read from the published wheels (sentry/types/region.py,
// sentry/conf/server.py, sentry/runner/initializer.py); later ones from the
// merge dates of the pull requests named, and so from the monthly release that
// followed. Each value is what has changed since the one before it.
func Dialects() []Dialect {
	tupleID := Dialect{
		Name: "tuple-id", First: Release{Year: 22, Month: 10}, Last: Release{Year: 23, Month: 3},
		Form: "a tuple of Region objects", Template: "tuple-id", Minimal: true,
		BindHost: loopback, RegionMode: "REGION", RegionVars: []string{"SENTRY_REGION"},
		Defaults: enoughThreads(), Probes: apiProbes(),
		Exceptions: []Exception{
			earlyAuth(),
			{ // building a Region while sentry.conf.py is loaded is a circular import there
				First: Release{Year: 22, Month: 12}, Last: Release{Year: 22, Month: 12}, Template: "tuple-lazy",
				Broken: "a region of this release cannot boot by itself (AppRegistryNotReady while Sentry starts): take 22.11.0 or 23.1.1",
			},
		},
		traits: earlyAuthTraits(),
		marks:  []marks{{{File: regionFile, Text: "\n    id: int"}}},
	}

	// The address is compared with system.region-api-url-template: by the
	// constructor in 23.3.1, at boot from 23.4.0 on.
	template := tupleID
	template.Name, template.First, template.Last = "tuple-template", Release{Year: 23, Month: 3, Patch: 1}, Release{Year: 23, Month: 5}
	template.Minimal = false
	template.Form, template.Template, template.Exceptions = "a tuple of Region objects, made when asked for", "tuple-lazy", []Exception{
		earlyAuth(),
		// With DEBUG, URLs load sentry/testutils/silo.py, which makes Regions of its own:
		// a siloed server answers 500 to all but its health. 23.4.0 makes them unchecked.
		{First: Release{Year: 23, Month: 3, Patch: 1}, Last: Release{Year: 23, Month: 3, Patch: 1}, StrictRegions: true},
	}
	template.traits = append(earlyAuthTraits(), trait{mark: mark{File: regionFile, Class: "Region:", Text: "def __post_init__"}, StrictRegions: true})
	template.marks = []marks{{{File: regionFile, Text: "Expected address for"}}}

	snowflake := template
	snowflake.Name, snowflake.First, snowflake.Last = "tuple-snowflake", Release{Year: 23, Month: 5, Patch: 1}, Release{Year: 23, Month: 5, Patch: 2}
	snowflake.traits = nil
	snowflake.marks = []marks{{{File: regionFile, Text: "snowflake_id: int"}}}

	// 49956: SENTRY_MONOLITH_REGION; JSON text too, but no list of dicts yet.
	json := snowflake
	json.Name, json.First, json.Last = "tuple-json", Release{Year: 23, Month: 6}, Release{Year: 23, Month: 6, Patch: 2}
	json.Fallback = []string{monolithRegion}
	json.marks = []marks{{{File: "runner/initializer.py", Text: "def validate_regions"}, {File: regionFile}}}

	// 51839: regions as dicts, usable from 23.7.0 on; signed calls in 23.7.1.
	dict := json
	dict.Name, dict.First, dict.Last = "dict", Release{Year: 23, Month: 7}, Release{Year: 23, Month: 11, Patch: anyPatch}
	dict.Form, dict.Template, dict.SplitAddresses, dict.Secrets = "a list of dicts", "dict", true, true
	dict.marks = []marks{
		{{File: regionFile, Text: "must point to a region name"}, {File: settingsFile, Text: "SENTRY_USE_SILOS"}},
		{{File: regionFile, Text: "parse_obj_as"}, {File: regionFile, Text: "Expected address for", Absent: true}},
	}

	// 60836: devserver --silo. That flag knows one region, called us: a plain
	// devserver with the variables of old runs any.
	silo := dict
	silo.Name, silo.First, silo.Last = "dict-silo", Release{Year: 23, Month: 12}, Release{Year: 25, Month: 2, Patch: anyPatch}
	silo.Probes = pinnedProbes()
	silo.marks = []marks{{{File: regionFile}, {File: settingsFile, Text: "SENTRY_SILO_DEVSERVER"}}}

	// 86599: nothing but a list of dicts.
	list := silo
	list.Name, list.First, list.Last = "list", Release{Year: 25, Month: 3}, Release{Year: 26, Month: 2, Patch: anyPatch}
	list.marks = []marks{{{File: regionFile}, {File: "conf/types/region_config.py"}}}

	// 108410: localities, which are made up where none are written; 110494: the mode CELL.
	transition := list
	transition.Name, transition.First, transition.Last = "cells-transition", Release{Year: 26, Month: 3}, Release{Year: 26, Month: 3, Patch: anyPatch}
	transition.RegionMode, transition.RegionVars = "CELL", []string{"SENTRY_REGION", localCell}
	transition.marks = []marks{
		{{File: cellFile, Text: "settings.SENTRY_REGION_CONFIG"}},
		{{File: regionFile, Text: "class Locality"}, {File: "conf/types/region_config.py"}},
	}
	transition.traits = slices.Concat(transition.traits, modeTraits(), fallbackTraits())

	// 111932: SENTRY_CELLS, SENTRY_LOCAL_CELL, which was at first read from the
	// variable SENTRY_REGION (sentry/conf/server.py of April 2026).
	cells := transition
	cells.Name, cells.First, cells.Last = "cells", Release{Year: 26, Month: 4}, Release{Year: 26, Month: 5, Patch: anyPatch}
	cells.Form, cells.Template, cells.CellCategory = "lists of cells and of localities", "cells", true
	cells.marks = []marks{{{File: cellFile, Text: "settings.SENTRY_CELLS"}}}

	// 117558: cells have no category; 117462: localities are to be written;
	// 117545 and 118016: SENTRY_FALLBACK_CELL in place of SENTRY_MONOLITH_REGION,
	// which one release may know both of.
	strict := cells
	strict.Name, strict.First, strict.Last = "cells-strict", Release{Year: 26, Month: 6}, Release{}
	strict.Form, strict.CellCategory = "lists of cells, without a category, and of localities", false
	strict.Fallback = []string{monolithRegion, fallbackCell}
	strict.marks = []marks{{{File: cellFile, Text: "settings.SENTRY_CELLS"}, {File: "conf/types/cell_config.py", Class: "CellConfig", Text: "\n    category", Absent: true}}}

	return []Dialect{tupleID, template, snowflake, json, dict, silo, list, transition, cells, strict}
}

const (
	loopback     = "127.0.0.1"
	regionFile   = "types/region.py"
	cellFile     = "types/cell.py"
	settingsFile = "conf/server.py"

	monolithRegion = "SENTRY_MONOLITH_REGION"
	fallbackCell   = "SENTRY_FALLBACK_CELL"
	localCell      = "SENTRY_LOCAL_CELL"
)

// earlyAuth are the releases whose regions end with AppRegistryNotReady, with
// and without silo's configuration: an option is read through a stub that
// imports sentry/services/hybrid_cloud/auth, and by that Django's user, before
// any application is loaded. 23.4.0 puts that import off.
func earlyAuth() Exception {
	return Exception{First: Release{Year: 22, Month: 12}, Last: Release{Year: 23, Month: 3, Patch: 1}, EarlyAuth: true}
}

// earlyAuthTraits tell such releases by their text.
func earlyAuthTraits() []trait {
	return []trait{{mark: mark{File: "services/hybrid_cloud/auth/__init__.py", Text: "\nfrom django.contrib.auth.models import AnonymousUser"}, EarlyAuth: true}}
}

// modeTraits tell what a source tree calls the mode of its regions
// (sentry/silo/base.py, SiloMode; 110494 and 110679).
func modeTraits() []trait {
	return []trait{
		{mark: mark{File: "silo/base.py", Class: "SiloMode", Text: "\n    REGION = "}, RegionMode: "REGION"},
		{mark: mark{File: "silo/base.py", Class: "SiloMode", Text: "\n    CELL = "}, RegionMode: "CELL"},
	}
}

// fallbackTraits tell which settings of a fallback a source tree knows.
func fallbackTraits() []trait {
	return []trait{
		{mark: mark{File: settingsFile, Text: "\n" + monolithRegion}, Fallback: monolithRegion},
		{mark: mark{File: settingsFile, Text: "\n" + fallbackCell}, Fallback: fallbackCell},
	}
}

// enoughThreads keeps silos that call one another from waiting for each other's
// web server for ever: devserver starts uWSGI with one worker of two threads
// (sentry/services/http.py), each of which a call from control to a region and
// back holds. 60836 gave silos eight workers of two; sixteen threads of one
// worker hold as many calls, for the memory of one. devserver lets uWSGI's
// variables be where they are set; Granian, since 106089, has threads enough of
// its own and reads none of them.
func enoughThreads() []Var { return []Var{{Name: "UWSGI_THREADS", Value: "16"}} }

// apiProbes were measured on 22.11.0, 23.5.2 and 23.7.1: an endpoint that lives
// in the other mode is not found, one that lives here wants a login.
func apiProbes() []Probe {
	return []Probe{
		{Path: "/api/0/organizations/", Control: 404, Region: 401},
		{Path: "/api/0/users/me/", Control: 401, Region: 404},
	}
}

// pinnedProbes are for releases whose control hands /api/0/organizations/ on to
// a region (sentry/conf/server.py, REGION_PINNED_URL_NAMES), but nothing of an
// organization that does not exist: that is not found
// (sentry/hybridcloud/apigateway/apigateway.py). A region of 23.7.1 answers both
// as here; a control of these releases was read, not run.
func pinnedProbes() []Probe {
	return []Probe{
		{Path: "/api/0/organizations/no-such-organization-/projects/", Control: 404, Region: 401},
		{Path: "/api/0/users/me/", Control: 401, Region: 404},
	}
}
