package sentry

import (
	"cmp"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"silo/topology"
)

// Var is one variable of a silo's environment.
type Var struct {
	Name, Value string
	Secret      bool // its value is masked by default
}

// Launch is the input of Environ.
type Launch struct {
	Mode         string // CONTROL, REGION or MONOLITH
	Silo         topology.Silo
	Host         string // of the bind address; empty: 127.0.0.1
	Port         int
	ConfigPath   string // the sentry.conf.py; a file
	Instance     string
	RunID        string
	RPCSecret    string            // for dialects with Secrets; one or more, separated by commas; the first one signs
	SubnetSecret string            // like RPCSecret
	URLs         map[string]string // address of each silo, by variable (URLVariable)
	SentryEnv    map[string]string // sentry.env of the topology
	Root         bool              // the silo will run as root
	Database     string            // the DatabaseSuffix of its own database; empty: the shared database
}

// Environ returns the whole environment of a silo, sorted by name: base ("NAME=value",
// the caller's) without variables that change how a devserver works, then
// l.SentryEnv, the silo's own env, and the variables that silo sets, each overriding
// the previous ones.
func Environ(base []string, l Launch, d Dialect) []Var {
	all := make(map[string]string, len(base)+len(l.URLs)+16)
	for _, entry := range base {
		if name, value, ok := strings.Cut(entry, "="); ok && name != "" && !excluded(name) {
			all[name] = value
		}
	}
	maps.Copy(all, l.SentryEnv)
	maps.Copy(all, l.Silo.Env)
	l.override(all, d)
	vars := make([]Var, 0, len(all))
	for name, value := range all {
		// Addresses are not secret. There may be thousands of them in each environment.
		vars = append(vars, Var{Name: name, Value: value, Secret: !strings.HasPrefix(name, urlPrefix) && isSecret(name, value)})
	}
	slices.SortFunc(vars, func(a, b Var) int { return strings.Compare(a.Name, b.Name) })
	return vars
}

// override sets and deletes the variables that users cannot set.
func (l Launch) override(all map[string]string, d Dialect) {
	for _, name := range []string{"SENTRY_REGION", "SENTRY_LOCAL_CELL", "SILO_WORKERS", "SILO_RPC_SECRET", "SILO_SUBNET_SECRET", "SILO_DATABASE"} {
		delete(all, name)
	}
	maps.DeleteFunc(all, func(name, _ string) bool { return strings.HasPrefix(name, urlPrefix) })
	all["SENTRY_SILO_MODE"] = l.Mode
	if l.Mode == "REGION" {
		all["SENTRY_SILO_MODE"] = cmp.Or(d.RegionMode, l.Mode)
		for _, name := range d.RegionVars {
			all[name] = l.Silo.Name
		}
	}
	// The default is IPv4, because devserver splits the address at its first colon.
	all["SENTRY_DEVSERVER_BIND"] = cmp.Or(l.Host, "127.0.0.1") + ":" + strconv.Itoa(l.Port)
	all["SENTRY_CONF"] = confVariable(l.ConfigPath)
	all["SILO_NAME"] = l.Silo.Name
	all["SILO_INSTANCE"] = l.Instance
	all["SILO_RUN_ID"] = l.RunID
	maps.Copy(all, l.URLs)
	if d.Secrets && l.RPCSecret != "" {
		all["SILO_RPC_SECRET"] = l.RPCSecret
	}
	if d.Secrets && l.SubnetSecret != "" {
		all["SILO_SUBNET_SECRET"] = l.SubnetSecret
	}
	if Workers(l.Silo.Command) {
		all["SILO_WORKERS"] = "1"
	}
	if l.Database != "" {
		all["SILO_DATABASE"] = l.Database
	}
	setDefault(all, "PYTHONUNBUFFERED", "1")
	// uWSGI otherwise replaces standard input by /dev/null, and a debugger reads its end.
	setDefault(all, "UWSGI_HONOUR_STDIN", "1")
	if l.Mode != "MONOLITH" {
		// This prevents a deadlock of silos that call one another: devserver starts uWSGI
		// with one worker of two threads (sentry/services/http.py), and a call from control
		// to a region and back holds one of them in each silo. 60836 gave silos eight
		// workers of two threads. Sixteen threads of one worker serve as many calls with
		// less memory. devserver keeps uWSGI variables that are already set. Granian
		// (106089) has enough threads and does not read them.
		setDefault(all, "UWSGI_THREADS", "16")
	}
	if l.Root {
		setDefault(all, "C_FORCE_ROOT", "1") // Celery workers refuse to run as root without it
	}
}

func setDefault(all map[string]string, name, value string) {
	if _, set := all[name]; !set {
		all[name] = value
	}
}

// confVariable returns SENTRY_CONF. If it is a file, Sentry does not read the
// config.yml next to it (sentry/runner/settings.py, discover_configs), so it is the
// directory if that selects the same file.
func confVariable(file string) string {
	if filepath.Base(file) == "sentry.conf.py" {
		return filepath.Dir(file)
	}
	return file
}

// excluded reports whether a silo does not inherit a variable: those that devserver
// sets for its children or reads as a setting, and those of another silo or of ngrok.
func excluded(name string) bool {
	for _, prefix := range []string{"UWSGI_", "NGROK_", urlPrefix} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	switch name {
	case "SENTRY_SILO_MODE", "SENTRY_REGION", "SENTRY_LOCAL_CELL", "SENTRY_DEVSERVER_BIND", "SENTRY_DEVSERVER_NGROK",
		"SENTRY_RUNNING_UWSGI", "SENTRY_SKIP_BACKEND_VALIDATION", "SENTRY_USE_SILOS", "SENTRY_SILO_DEVSERVER",
		"SENTRY_BACKEND_PORT", "SENTRY_CONTROL_SILO_PORT", "SENTRY_REGION_SILO_PORT",
		"SENTRY_WEBPACK_PROXY_HOST", "SENTRY_WEBPACK_PROXY_PORT", "FORCE_WEBPACK_DEV_SERVER",
		"SENTRY_SYSTEM_URL_PREFIX", "SENTRY_SYSTEM_BASE_HOSTNAME", "SENTRY_ORGANIZATION_BASE_HOSTNAME",
		"SENTRY_ORGANIZATION_URL_TEMPLATE", "SENTRY_REGION_API_URL_TEMPLATE",
		"SILO_NAME", "SILO_INSTANCE", "SILO_RUN_ID", "SILO_RPC_SECRET", "SILO_SUBNET_SECRET", "SILO_WORKERS", "SILO_DATABASE":
		return true
	}
	return false
}

// isSecret guesses from the name, and from a password in a URL, whether a variable
// contains a secret.
func isSecret(name, value string) bool {
	upper := strings.ToUpper(name)
	for _, word := range []string{"SECRET", "TOKEN", "PASSWORD", "PASSWD", "PASSPHRASE", "CREDENTIAL", "API_KEY", "APIKEY", "PRIVATE_KEY", "ACCESS_KEY", "PGPASS"} {
		if strings.Contains(upper, word) {
			return true
		}
	}
	if !strings.Contains(value, "@") { // a URL with a password has one
		return false
	}
	if u, err := url.Parse(value); err == nil && u.User != nil {
		_, has := u.User.Password()
		return has
	}
	return false
}

const urlPrefix = "SILO_URL_"

// URLVariable returns the name of the variable with a silo's address.
func URLVariable(silo string) string {
	return urlPrefix + strings.ToUpper(strings.ReplaceAll(silo, "-", "_"))
}
