package topology

// form is what the value of a key must look like.
type form int

const (
	formTable   form = iota // the keys in fields
	formTables              // tables with names of the user's own, each with the keys in fields
	formStrings             // strings with names of the user's own
	formText
	formList // of strings
	formInteger
	formBoolean
	formSize // an integer, or a string that size reads
)

// field is one key of the file: what it means, what it may hold and what it holds
// where nobody writes it. The one table of them, keys, is what checks, defaults,
// suggestions and the JSON Schema are made from.
type field struct {
	name     string
	doc      string // one or two sentences, for an editor
	form     form
	fields   []field // of formTable and formTables
	required bool

	preset  any                     // the default, as it would be written: string, int, bool or []string
	or      []any                   // further values, which are not of the form: true, false
	enum    []string                // all that a text may be
	low     int                     // of an integer, inclusive
	high    int                     // of an integer, inclusive
	check   func(text string) fault // of a text, of each element of a list
	pattern string                  // a regular expression (ECMA 262) that all texts which check takes match
	names   func(text string) fault // of the user's own names
	short   string                  // of a table: the key meant by who writes only a string

	blank    bool   // "" is as good as nothing
	secret   bool   // its value is never shown
	template bool   // text in which ${…} may mean something else than a variable
	mend     string // hint where a required key is missing
}

// Patterns that serve several keys.
const (
	labelPattern    = `^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`
	durationPattern = `^\+?([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))*$|^\+?0$`
	sizePattern     = `^[0-9]+ ?([KkMmGg][Ii]?)?[Bb]?$`
	hostPattern     = `^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$`
	originPattern   = `^[Hh][Tt][Tt][Pp][Ss]?://[^/?#@]+$`
	releasePattern  = `^[0-9]{2}\.[0-9]{1,2}(\.[0-9]{1,3})?$`
)

// dialects are the names that sentry.dialect knows beside auto and releases.
func dialects() []string {
	return []string{
		"tuple-id", "tuple-template", "tuple-snowflake", "tuple-json",
		"dict", "dict-silo", "list", "cells-transition", "cells", "cells-strict",
	}
}

// signals are those that stop.signal knows, without SIG.
func signals() []string {
	return []string{"TERM", "INT", "HUP", "QUIT", "KILL", "USR1", "USR2"}
}

// keys is the table of all keys.
func keys() *field {
	return &field{
		form: formTable,
		doc:  "One control silo and its region silos, to be run on this machine by silo.",
		fields: []field{
			{name: "version", form: formInteger, required: true, low: 1, high: 1, mend: "add version = 1", doc: "The version of this file's format."},
			{name: "name", form: formText, check: label, pattern: labelPattern, doc: "What the instance is called. Default: the directory's name, made a DNS label."},
			{name: "sentry", form: formTable, fields: sentryKeys(), doc: "The Sentry that all silos run."},
			{name: "tunnels", form: formTable, fields: tunnelKeys(), doc: "What gives every silo its address."},
			{name: "isolation", form: formTable, doc: "What keeps regions apart.", fields: []field{
				{name: "regions", form: formText, enum: []string{"off", "warn", "block"}, preset: "warn", doc: "What a request from one region to another is met with."},
			}},
			{name: "logs", form: formTable, doc: "The files that hold what silos write.", fields: []field{
				{name: "max", form: formSize, check: sizeFault, pattern: sizePattern, low: 1, preset: "64MiB", doc: `The size of one raw file at which the next is begun, such as "64MiB" or "10MB", or a number of bytes.`},
				{name: "keep", form: formInteger, low: 1, high: 10000, preset: 8, doc: "How many files are kept of each silo; older ones go."},
			}},
			{name: "control", form: formTable, fields: controlKeys(), doc: "The control silo."},
			{name: "region", form: formTables, required: true, names: regionName, fields: regionKeys(), mend: "add [region.us] with id = 1", doc: "The region silos. The key of each is the Region's name and SENTRY_REGION."},
		},
	}
}

func sentryKeys() []field {
	return append([]field{
		dirKey("."),
		commandKey([]string{"sentry", "devserver"}),
		{name: "config", form: formText, doc: "Where sentry.conf.py is: the file, or its directory. Default: $SENTRY_CONF, else ~/.sentry/sentry.conf.py."},
		{name: "dialect", form: formText, check: dialectFault, enum: append([]string{"auto"}, dialects()...), pattern: releasePattern, preset: "auto", doc: `How regions are configured and devservers launched: found by itself (auto), by a release such as "22.10.0", or by name.`},
		watchersKey("auto"),
		ttyKey(false),
		{name: "addresses", form: formText, enum: []string{"public", "loopback", "auto"}, preset: "auto", doc: "What silos call one another by: the addresses that tunnels give (public), or their own ports (loopback). auto: their own ports where ngrok or somebody else makes the tunnels and Sentry, from 23.7.0 on, can be given two addresses; else the tunnels'."},
		{name: "databases", form: formText, enum: []string{"shared", "per-silo"}, preset: "shared", doc: "Whether all silos share a database or each has its own."},
		{name: "managed", form: formBoolean, preset: true, doc: "false: you start the devservers yourself; silo does all the rest and prints each one's environment."},
		envKey("Environment variables of every silo."),
	}, lifeKeys()...)
}

func tunnelKeys() []field {
	return []field{
		{name: "provider", form: formText, enum: []string{"local", "ngrok", "external", "none"}, preset: "local", doc: "Who makes the tunnels: silo itself, on loopback (local), ngrok, someone else who has given addresses (external), or nobody."},
		{name: "domain", form: formText, blank: true, check: hostFault, pattern: hostPattern, doc: "Base of all domains: control has it as it is, each region <region>.<domain>, unless it says its own."},
		{name: "ngrok", form: formTable, doc: "The ngrok agent.", fields: []field{
			{name: "authtoken", form: formText, blank: true, secret: true, doc: "Normally absent: NGROK_AUTHTOKEN and the ngrok agent's own ngrok.yml serve as well."},
			{name: "server_addr", form: formText, blank: true, check: hostPortFault, pattern: `^.+:[0-9]+$`, doc: "host:port of the ngrok service. Default: the SDK's."},
			{name: "root_cas", form: formText, blank: true, doc: "A PEM file to trust for server_addr. Default: the SDK's."},
			{name: "metadata", form: formText, blank: true, doc: "Text that ngrok shows with the session."},
		}},
	}
}

func controlKeys() []field {
	return append([]field{portKey(8000, "The port it is reached on; 0 for any free one. One that is written is kept or is a conflict, the default is a preference.")}, siloKeys()...)
}

func regionKeys() []field {
	return append([]field{
		{name: "id", form: formInteger, required: true, low: 1, high: 4095, mend: "give it an id from 1 to 4095 that no other region has", doc: "The Region's number, which no other region has."},
		{name: "category", form: formText, enum: []string{"MULTI_TENANT", "SINGLE_TENANT"}, preset: "MULTI_TENANT", doc: "Whether it serves many organizations or one."},
		portKey(nil, "The port it is reached on; 0 for any free one. Default: 8002, 8004, … in order of id, as a preference."),
	}, siloKeys()...)
}

// siloKeys are what every silo may say of itself, but for its port.
func siloKeys() []field {
	return append([]field{
		{name: "domain", form: formText, blank: true, check: hostFault, pattern: hostPattern, doc: "The host name that its tunnel is to have, in place of the one from tunnels.domain."},
		{name: "url", form: formText, blank: true, check: originFault, pattern: originPattern, doc: "Its address, made by someone else, for provider external: scheme and host, and a port if need be."},
		{name: "host_header", form: formText, check: hostHeaderFault, pattern: `^[A-Za-z0-9\[][A-Za-z0-9.:\[\]-]*$`, preset: "preserve", doc: "The Host that it sees: the caller's (preserve), its own (rewrite), or the one given."},
		{name: "basic_auth", form: formList, secret: true, check: credentialsFault, pattern: `^[^:]+:.+$`, preset: []string{}, doc: `Who may come through its tunnel, each "user:password", with ngrok of 8 characters of password or more. For providers ngrok and local.`},
		{name: "allow_cidrs", form: formList, check: cidrFault, pattern: `^[0-9A-Fa-f.:]+/[0-9]+$`, preset: []string{}, doc: "The networks that may come through its tunnel. For providers ngrok and local."},
		{name: "traffic_policy", form: formText, blank: true, secret: true, template: true, doc: "An ngrok traffic policy: its text, YAML or JSON, or a file that holds it."},
		dirKey(nil),
		commandKey(nil),
		watchersKey(nil),
		ttyKey(nil),
		envKey("Its environment variables, over those of [sentry]."),
	}, lifeKeys()...)
}

// lifeKeys say how a silo starts and ends; [sentry] gives them for all silos,
// each silo its own, key by key.
func lifeKeys() []field {
	const length = ` A number with a unit, such as "500ms", "10s" or "2m".`
	return []field{
		{name: "ready", form: formTable, or: []any{false}, short: "path", doc: "When it counts as ready; false: once it is started.", fields: []field{
			{name: "path", form: formText, check: pathFault, pattern: "^/", preset: "/_health/", doc: "The path that is asked for."},
			{name: "status", form: formInteger, low: 100, high: 599, preset: 200, doc: "The HTTP status that says ready."},
			{name: "timeout", form: formText, check: durationFault, pattern: durationPattern, preset: "180s", doc: "How long it may take." + length},
			{name: "interval", form: formText, check: durationFault, pattern: durationPattern, preset: "100ms", doc: "The pause between the first probes." + length},
		}},
		{name: "restart", form: formTable, short: "policy", doc: "What happens when its process ends by itself.", fields: []field{
			{name: "policy", form: formText, enum: []string{"no", "on-failure", "always"}, preset: "on-failure", doc: "Whether it is started again."},
			{name: "max", form: formInteger, low: 0, high: 1000000, preset: 5, doc: "How many restarts within window it may have before it has failed."},
			{name: "backoff", form: formText, check: durationFault, pattern: durationPattern, preset: "500ms", doc: "The pause before the first restart; it doubles with each." + length},
			{name: "backoff_max", form: formText, check: durationFault, pattern: durationPattern, preset: "30s", doc: "The longest pause." + length},
			{name: "window", form: formText, check: durationFault, pattern: durationPattern, preset: "60s", doc: "The time in which restarts are counted." + length},
		}},
		{name: "stop", form: formTable, short: "signal", doc: "How it is ended.", fields: []field{
			{name: "signal", form: formText, check: signalFault, pattern: `^(SIG)?(TERM|INT|HUP|QUIT|KILL|USR1|USR2)$`, preset: "TERM", doc: "The signal that asks it to end: TERM, INT, HUP, QUIT, KILL, USR1 or USR2."},
			{name: "grace", form: formText, check: graceFault, pattern: durationPattern, preset: "10s", doc: "How long it has before it is killed." + length},
		}},
	}
}

func portKey(preset any, doc string) field {
	return field{name: "port", form: formInteger, low: 0, high: 65535, preset: preset, doc: doc}
}

func dirKey(preset any) field {
	return field{name: "dir", form: formText, preset: preset, doc: "The directory that devservers are started in."}
}

func commandKey(preset any) field {
	return field{name: "command", form: formList, preset: preset, doc: "The program and its arguments."}
}

func watchersKey(preset any) field {
	return field{name: "watchers", form: formText, enum: []string{"auto"}, or: []any{true, false}, preset: preset, doc: "Whether the devserver runs webpack on PORT and its backend on PORT+1. auto: only for sentry devserver without --no-watchers."}
}

func ttyKey(preset any) field {
	return field{name: "tty", form: formBoolean, preset: preset, doc: "Whether the devserver writes to a terminal of its own rather than to a pipe, for what colours or flushes only there."}
}

func envKey(doc string) field {
	return field{name: "env", form: formStrings, secret: true, names: variableName, check: variableValue, doc: doc}
}
