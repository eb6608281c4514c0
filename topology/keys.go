package topology

// kind is the type of a key's value.
type kind int

const (
	kindTable       kind = iota // the keys in fields
	kindNamedTables             // tables with user-defined names, each with the keys in fields
	kindStringMap               // strings with user-defined names
	kindString
	kindList // of strings
	kindInteger
	kindBoolean
	kindSize // an integer, or a string that parseSize reads
)

// field describes one key of the file. Validation, defaults, suggestions and the JSON
// Schema all come from the table keys.
type field struct {
	name     string
	doc      string // one or two sentences, for an editor
	kind     kind
	fields   []field // of kindTable and kindNamedTables
	required bool

	preset       any                        // the default: string, int, bool or []string
	alternatives []any                      // valid values of another type: true, false
	enum         []string                   // the valid strings
	min, max     int                        // of an integer, inclusive
	check        func(text string) *invalid // of a string, and of each element of a list
	pattern      string                     // a regular expression (ECMA 262) that every string accepted by check matches
	checkName    func(text string) *invalid // of user-defined names
	shorthand    string                     // of a table: the key that is set by a plain string

	allowEmpty  bool   // "" counts as absent
	secret      bool   // the value is never shown
	foreign     bool   // the format of the text itself may use ${…}
	missingHint string // hint if a required key is missing
}

// Patterns that several keys share.
const (
	labelPattern    = `^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`
	durationPattern = `^\+?([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))*$|^\+?0$`
	sizePattern     = `^[0-9]+ ?([KkMmGg][Ii]?)?[Bb]?$`
	hostPattern     = `^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$`
	originPattern   = `^[Hh][Tt][Tt][Pp][Ss]?://[^/?#@]+$`
	releasePattern  = `^[0-9]{2}\.[0-9]{1,2}(\.[0-9]{1,3})?$`
)

// dialects are the values of sentry.dialect other than auto and releases.
func dialects() []string {
	return []string{
		"tuple-id", "tuple-template", "tuple-snowflake", "tuple-json",
		"dict", "dict-silo", "list", "cells-transition", "cells", "cells-strict",
	}
}

// signals are the values of stop.signal, without SIG.
func signals() []string {
	return []string{"TERM", "INT", "HUP", "QUIT", "KILL", "USR1", "USR2"}
}

// keys is the table of all keys.
func keys() *field {
	return &field{
		kind: kindTable,
		doc:  "A control silo and its region silos, which silo runs on this machine.",
		fields: []field{
			{name: "version", kind: kindInteger, required: true, min: 1, max: 1, missingHint: "add version = 1", doc: "The version of the file format."},
			{name: "name", kind: kindString, check: checkLabel, pattern: labelPattern, doc: "The name of the instance. Default: the name of the directory, as a DNS label."},
			{name: "sentry", kind: kindTable, fields: sentryKeys(), doc: "The Sentry that all silos run."},
			{name: "tunnels", kind: kindTable, fields: tunnelKeys(), doc: "The tunnels that give each silo its address."},
			{name: "isolation", kind: kindTable, doc: "Isolation of regions from one another.", fields: []field{
				{name: "regions", kind: kindString, enum: []string{"off", "warn", "block"}, preset: "warn", doc: "What to do with a request from one region to another."},
			}},
			{name: "logs", kind: kindTable, doc: "The log files of the silos.", fields: []field{
				{name: "max", kind: kindSize, check: checkSize, pattern: sizePattern, min: 1, preset: "64MiB", doc: `The size at which a log file is rotated, such as "64MiB" or "10MB", or a number of bytes.`},
				{name: "keep", kind: kindInteger, min: 1, max: 10000, preset: 8, doc: "The number of log files kept for each silo. Older files are deleted."},
			}},
			{name: "control", kind: kindTable, fields: controlKeys(), doc: "The control silo."},
			{name: "region", kind: kindNamedTables, required: true, checkName: checkRegionName, fields: regionKeys(), missingHint: "add [region.us] with id = 1", doc: "The region silos. Each key is the Region name and SENTRY_REGION."},
		},
	}
}

func sentryKeys() []field {
	return append([]field{
		{name: "config", kind: kindString, doc: "The path of sentry.conf.py, or of its directory. Default: $SENTRY_CONF, else ~/.sentry/sentry.conf.py."},
		{name: "dialect", kind: kindString, check: checkDialect, enum: append([]string{"auto"}, dialects()...), pattern: releasePattern, preset: "auto", doc: `The format of the region config and of the devserver's environment: detected (auto), by a release such as "22.10.0", or by name.`},
		{name: "addresses", kind: kindString, enum: []string{"public", "loopback", "auto"}, preset: "auto", doc: "The addresses that silos use to call one another: their tunnels' (public), or their own ports (loopback). auto: loopback if the provider is ngrok or external and Sentry supports separate addresses (from 23.7.0 on), else public."},
		{name: "databases", kind: kindString, enum: []string{"shared", "per-silo"}, preset: "shared", doc: "Whether all silos share one database or each silo has its own."},
	}, commonKeys(".", []string{"sentry", "devserver"}, "auto", false, true, "Environment variables of every silo.")...)
}

func tunnelKeys() []field {
	return []field{
		{name: "provider", kind: kindString, enum: []string{"local", "ngrok", "external", "none"}, preset: "local", doc: "The provider of tunnels: silo itself on loopback (local), ngrok, addresses that you provide (external), or no tunnels (none)."},
		{name: "domain", kind: kindString, allowEmpty: true, check: checkHost, pattern: hostPattern, doc: "The base domain: control uses it unchanged and each region uses <region>.<domain>, unless the silo sets its own domain."},
		{name: "ngrok", kind: kindTable, doc: "Settings of the ngrok agent.", fields: []field{
			{name: "authtoken", kind: kindString, allowEmpty: true, secret: true, doc: "Usually not needed: silo also reads NGROK_AUTHTOKEN and the ngrok.yml of the ngrok agent."},
			{name: "server_addr", kind: kindString, allowEmpty: true, check: checkHostPort, pattern: `^.+:[0-9]+$`, doc: "host:port of the ngrok service. Default: that of the ngrok SDK."},
			{name: "root_cas", kind: kindString, allowEmpty: true, doc: "A PEM file with the certificates to trust for server_addr. Default: those of the ngrok SDK."},
			{name: "metadata", kind: kindString, allowEmpty: true, doc: "Text that ngrok shows with the session."},
		}},
	}
}

func controlKeys() []field {
	return append([]field{portKey("The port of the silo; 0 for any free port. If a port that you set is taken, silo up fails. The default is only a preference.", 8000)}, siloKeys()...)
}

func regionKeys() []field {
	return append([]field{
		{name: "id", kind: kindInteger, required: true, min: 1, max: 4095, missingHint: "set an id from 1 to 4095 that no other region has", doc: "The unique number of the Region."},
		{name: "category", kind: kindString, enum: []string{"MULTI_TENANT", "SINGLE_TENANT"}, preset: "MULTI_TENANT", doc: "Whether the region serves many organizations or one."},
		portKey("The port of the silo; 0 for any free port. Default: 8002, 8004, … in order of id, as a preference.", nil),
	}, siloKeys()...)
}

// siloKeys are the keys of every silo except its port.
func siloKeys() []field {
	return append([]field{
		{name: "domain", kind: kindString, allowEmpty: true, check: checkHost, pattern: hostPattern, doc: "The host name of the silo's tunnel, instead of the one from tunnels.domain."},
		{name: "url", kind: kindString, allowEmpty: true, check: checkOrigin, pattern: originPattern, doc: "The address of the silo with provider external: scheme, host and an optional port."},
		{name: "host_header", kind: kindString, check: checkHostHeader, pattern: `^[A-Za-z0-9\[][A-Za-z0-9.:\[\]-]*$`, preset: "preserve", doc: "The Host header that the silo receives: the client's (preserve), the silo's own (rewrite), or the given host."},
		{name: "basic_auth", kind: kindList, secret: true, check: checkCredentials, pattern: `^[^:]+:.+$`, preset: []string{}, doc: `The credentials that the tunnel accepts, each "user:password". ngrok requires passwords of at least 8 characters. For providers ngrok and local.`},
		{name: "allow_cidrs", kind: kindList, check: checkCIDR, pattern: `^[0-9A-Fa-f.:]+/[0-9]+$`, preset: []string{}, doc: "The networks that may use the tunnel. For providers ngrok and local."},
		{name: "traffic_policy", kind: kindString, allowEmpty: true, secret: true, foreign: true, doc: "An ngrok traffic policy: its text (YAML or JSON), or the path of a file."},
	}, commonKeys(nil, nil, nil, nil, nil, "Environment variables of the silo, which override those of [sentry].")...)
}

// commonKeys are the keys that [sentry] sets for all silos and each silo overrides.
// Only [sentry] has their defaults.
func commonKeys(dir, command, watchers, tty, managed any, envDoc string) []field {
	return append([]field{
		{name: "dir", kind: kindString, preset: dir, doc: "The working directory of devservers."},
		{name: "command", kind: kindList, preset: command, doc: "The program and its arguments."},
		{name: "watchers", kind: kindString, enum: []string{"auto"}, alternatives: []any{true, false}, preset: watchers, doc: "Whether the devserver runs webpack on PORT and its backend on PORT+1. auto: only for sentry devserver without --no-watchers."},
		{name: "tty", kind: kindBoolean, preset: tty, doc: "Whether the devserver writes to a pseudo-terminal instead of a pipe, for programs that use colors or flush their output only there."},
		{name: "managed", kind: kindBoolean, preset: managed, doc: "false: you start the devserver yourself. silo does the rest, and silo env prints the environment."},
		{name: "env", kind: kindStringMap, secret: true, checkName: checkVariableName, check: checkVariableValue, doc: envDoc},
	}, lifecycleKeys()...)
}

// lifecycleKeys configure how a silo starts and stops. [sentry] sets them for all
// silos, and each silo overrides them key by key.
func lifecycleKeys() []field {
	duration := func(name, preset, doc string) field {
		return field{name: name, kind: kindString, check: checkPositiveDuration, pattern: durationPattern, preset: preset, doc: doc + ` A number with a unit, such as "500ms", "10s" or "2m".`}
	}
	grace := duration("grace", "10s", "How long the process may take to exit before it is killed.")
	grace.check = checkDuration
	return []field{
		{name: "ready", kind: kindTable, alternatives: []any{false}, shorthand: "path", doc: "When the silo counts as ready. false: as soon as its process has started.", fields: []field{
			{name: "path", kind: kindString, check: checkPath, pattern: "^/", preset: "/_health/", doc: "The path of the readiness probe."},
			{name: "status", kind: kindInteger, min: 100, max: 599, preset: 200, doc: "The HTTP status of a ready silo."},
			duration("timeout", "180s", "How long the silo may take to become ready."),
			duration("interval", "100ms", "The pause between the first probes."),
		}},
		{name: "restart", kind: kindTable, shorthand: "policy", doc: "What happens when the silo's process exits.", fields: []field{
			{name: "policy", kind: kindString, enum: []string{"no", "on-failure", "always"}, preset: "on-failure", doc: "Whether the process is restarted."},
			{name: "max", kind: kindInteger, min: 0, max: 1000000, preset: 5, doc: "The number of restarts within window after which the silo has failed."},
			duration("backoff", "500ms", "The pause before the first restart. It doubles with each restart."),
			duration("backoff_max", "30s", "The longest pause."),
			duration("window", "60s", "The period in which restarts are counted."),
		}},
		{name: "stop", kind: kindTable, shorthand: "signal", doc: "How the silo is stopped.", fields: []field{
			{name: "signal", kind: kindString, check: checkSignal, pattern: `^(SIG)?(TERM|INT|HUP|QUIT|KILL|USR1|USR2)$`, preset: "TERM", doc: "The signal that asks the process to exit: TERM, INT, HUP, QUIT, KILL, USR1 or USR2."},
			grace,
		}},
	}
}

func portKey(doc string, preset any) field {
	return field{name: "port", kind: kindInteger, min: 0, max: 65535, preset: preset, doc: doc}
}

// presets returns a table of the default values of fields.
func presets(fields []field) *node {
	table := map[string]*node{}
	for i := range fields {
		f := &fields[i]
		switch preset := f.preset.(type) {
		case nil:
			if f.kind == kindTable {
				table[f.name] = presets(f.fields)
			}
		case int:
			table[f.name] = &node{value: int64(preset)}
		case []string:
			var items []*node
			for _, item := range preset {
				items = append(items, &node{value: item})
			}
			table[f.name] = &node{value: items}
		default:
			table[f.name] = &node{value: preset}
		}
	}
	return &node{value: table}
}
