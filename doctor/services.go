package doctor

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"silo/sentry"
)

// services are the services that Sentry reported.
type services struct {
	sentry.Services
	skipped string // why Sentry was not run
	failed  string // why Sentry failed
}

// findServices runs control's Sentry in control's environment.
func (e *examination) findServices(ctx context.Context) services {
	finder := e.finder(ctx)
	python, ok := finder.Python()
	switch {
	case !finder.IsSentry():
		return services{skipped: strings.Join(finder.Command, " ") + " is not Sentry's own command"}
	case !ok:
		return services{skipped: "Sentry's Python was not found"}
	case !exists(e.Topology.Sentry.Config):
		return services{skipped: e.Topology.Sentry.Config + " does not exist"}
	}
	loading, cancel := context.WithTimeout(ctx, settingsLimit)
	defer cancel()
	found, err := e.askServices(loading, finder.Dir, sentry.ServicesArgv(python))
	if err == nil {
		return services{Services: found}
	}
	failed := services{failed: fmt.Sprintf("%s could not load Sentry's settings: %v", python, err)}
	if errors.Is(err, context.DeadlineExceeded) {
		failed.failed = fmt.Sprintf("Sentry did not load its settings within %.0f s", settingsLimit.Seconds())
	}
	if found, err = e.askServices(ctx, finder.Dir, sentry.ServicesTextArgv(python)); err == nil {
		failed.Services = found
	}
	return failed
}

func (e *examination) askServices(ctx context.Context, dir string, argv []string) (sentry.Services, error) {
	// sentry.Service.Failure parses messages of the C locale.
	output, err := e.Exec(ctx, argv, dir, append(e.environ(e.Topology.Control), "LC_ALL=C.UTF-8"))
	if err != nil {
		return sentry.Services{}, err
	}
	return sentry.ParseServices(output)
}

// known reports whether the services are known, from the settings or from the text of
// the files. If not, it adds the reason to c.
func (s services) known(c *Check) bool {
	switch {
	case s.skipped != "":
		c.add(Skip, s.skipped)
		return false
	case s.FromText:
		return true
	}
	return s.loaded(c)
}

// loaded reports whether the settings were loaded. If not, it adds the reason to c.
func (s services) loaded(c *Check) bool {
	switch {
	case s.skipped != "":
		c.add(Skip, s.skipped)
	case s.failed != "", s.Unknown != "":
		c.add(Skip, "the settings are unknown: see the settings check")
	case s.Error != "":
		c.add(Skip, "the settings do not load: see the settings check")
	default:
		return true
	}
	return false
}

// addSource adds where the addresses come from if it is not the settings themselves.
func (s services) addSource(e *examination, c *Check) {
	if s.FromText {
		c.add(Skip, "the addresses are from the text of "+e.Topology.Sentry.Config+", because the settings were not loaded")
	}
}

// checkSettings checks that Sentry's settings load.
func checkSettings(_ context.Context, e *examination, c *Check) {
	s, path := e.services(), e.Topology.Sentry.Config
	list := e.sentryCommand("config list")
	switch {
	case s.skipped != "":
		c.add(Skip, s.skipped)
	case s.failed != "":
		c.add(Warn, s.failed, list+" shows how Sentry itself loads them")
	case s.Unknown != "":
		c.add(Warn, "silo cannot load the settings of this release: "+s.Unknown, list+" shows whether Sentry loads them")
	case s.Error != "" && s.Line > 0:
		c.add(Fail, fmt.Sprintf("%s:%d: %s", path, s.Line, s.Error), "fix that line; "+list+" tries it again")
	case s.Error != "":
		c.add(Fail, fmt.Sprintf("%s does not load: %s", path, s.Error), list+" shows the whole error")
	default:
		c.add(OK, fmt.Sprintf("load in %.1f s, by Python %s", s.Seconds, s.Python))
	}
}

// sentryCommand returns a command line of Sentry for this configuration.
func (e *examination) sentryCommand(rest string) string {
	command := e.Topology.Control.Command
	n := 1
	if filepath.Base(command[0]) != "sentry" {
		n = min(3, len(command)) // python -m sentry
	}
	text := strings.Join(command[:n], " ") + " " + rest
	if dir := filepath.Dir(e.Topology.Sentry.Config); !e.isSentryHome(dir) {
		text = "SENTRY_CONF=" + dir + " " + text
	}
	return text
}

// checkPostgres checks the databases of the settings: /_health/ is 200 even if
// Postgres is down (sentry/middleware/health.py).
func checkPostgres(_ context.Context, e *examination, c *Check) {
	s := e.services()
	if !s.known(c) {
		return
	}
	seen := map[string]bool{}
	for _, one := range s.Databases {
		switch key := one.Address() + "/" + one.Database; {
		case seen[key]: // an alias
		case one.Kind != "postgres":
			c.add(Skip, fmt.Sprintf("DATABASES[%q] is %s, which is not checked", one.Name, one.Kind))
			seen[key] = true
		default:
			e.checkDatabase(one, c)
			seen[key] = true
		}
	}
	switch {
	case len(s.Databases) > 0:
	case s.FromText:
		c.add(Skip, "the text names no database: DATABASES is set by code or elsewhere")
	default:
		c.add(Fail, "the settings name no database", "set DATABASES in "+e.Topology.Sentry.Config)
	}
	s.addSource(e, c)
}

func (e *examination) checkDatabase(one sentry.Service, c *Check) {
	perSilo := e.Topology.Sentry.Databases == "per-silo"
	address, config := one.Address(), e.Topology.Sentry.Config
	setting := fmt.Sprintf("DATABASES[%q] in %s", one.Name, config)
	upgrade := e.sentryCommand("upgrade")
	if perSilo {
		upgrade = "silo db migrate"
	}
	server := fmt.Sprintf("-p %d", one.Port)
	if one.Host != "" {
		server = "-h " + one.Host + " " + server
	}
	version := fmt.Sprintf("Postgres %s at %s", one.Version, address)
	switch failure := one.Failure(); {
	case failure == sentry.NoDatabase && perSilo:
		c.add(OK, fmt.Sprintf("%s answers; the shared database %s does not exist, but silos use their own", address, one.Database))
	case failure == sentry.NoDatabase:
		if one.User != "" {
			server += " -U " + one.User
		}
		c.add(Fail, fmt.Sprintf("%s answers, but has no database %s", address, one.Database), "createdb "+server+" "+one.Database, upgrade, "or change "+setting)
	case failure == sentry.NoRole:
		c.add(Fail, fmt.Sprintf("%s answers, but has no user %s", address, one.User), "createuser "+server+" --createdb "+one.User, "or change "+setting)
	case failure == sentry.Unauthorized:
		c.add(Fail, fmt.Sprintf("%s rejects user %s: %s", address, one.User, one.Error), "fix USER and PASSWORD of "+setting)
	case failure != "":
		e.addUnreachable("Postgres", setting, one, Fail, c)
	case perSilo:
		c.add(OK, version+"; each silo has its own database there")
	case !one.Migrated:
		c.add(Fail, fmt.Sprintf("%s: no migration has run on database %s", version, one.Database), upgrade)
	case one.Pending > 0:
		c.add(Warn, fmt.Sprintf("%s, database %s: %s pending", version, one.Database, plural(one.Pending, "migration")), upgrade)
	default:
		c.add(OK, fmt.Sprintf("%s, database %s, migrated", version, one.Database))
	}
}

// addUnreachable reports a server that did not answer. setting is where its address
// is configured.
func (e *examination) addUnreachable(server, setting string, one sentry.Service, state State, c *Check) {
	reason := one.Error
	switch one.Failure() {
	case sentry.Refused:
		reason = "connection refused"
	case sentry.Unresolved:
		reason = "unknown host"
	case sentry.TimedOut:
		reason = "no answer within 3 s"
	case sentry.NoDatabase, sentry.NoRole, sentry.Unauthorized, sentry.OtherFailure:
	}
	fix := fmt.Sprintf("start %s at %s", server, one.Address())
	if one.Local() && one.Failure() != sentry.OtherFailure {
		choice, _ := e.choice() // checkSentry reports the error
		fix = choice.ServicesUp(e.Topology.Control.Dir)
	}
	c.add(state, fmt.Sprintf("%s at %s is not reachable: %s", server, one.Address(), reason), fix, "or change "+setting)
}

// checkRedis checks the Redis clusters and task queues of the settings. From
// 22.11.0 on Sentry exits at startup if a cluster that it uses does not answer.
func checkRedis(_ context.Context, e *examination, c *Check) {
	s := e.services()
	if !s.known(c) {
		return
	}
	for len(s.Redis) > 0 {
		n := 1 // the nodes of a cluster are consecutive
		for n < len(s.Redis) && s.Redis[n].Name == s.Redis[0].Name {
			n++
		}
		e.checkCluster(s.Redis[:n], c)
		s.Redis = s.Redis[n:]
	}
	broken := Warn // web servers only add tasks
	if _, workers := watching(e.Topology); workers {
		broken = Fail
	}
	for _, one := range s.Brokers {
		if one.Error == "" {
			c.add(OK, fmt.Sprintf("task queue: %s at %s", one.Kind, one.Address()))
		} else {
			e.addUnreachable("the task queue ("+one.Kind+")", "BROKER_URL in "+e.Topology.Sentry.Config, one, broken, c)
		}
	}
	s.addSource(e, c)
}

func (e *examination) checkCluster(nodes []sentry.Service, c *Check) {
	var up, down []string
	version := ""
	for _, one := range nodes {
		if one.Error == "" {
			up, version = append(up, one.Address()), one.Version
		} else {
			down = append(down, one.Address())
		}
	}
	switch name := nodes[0].Name; {
	case len(down) == 0 || len(up) > 0 && nodes[0].Clustered: // one node is enough to find the others
		c.add(OK, fmt.Sprintf("Redis %s at %s, cluster %s", version, join(up, 2), name))
		return
	case !nodes[0].Used:
		c.add(OK, fmt.Sprintf("cluster %s (%s) does not answer, but no setting uses it", name, join(down, 2)))
		return
	}
	config := e.Topology.Sentry.Config
	if yml := filepath.Join(filepath.Dir(config), "config.yml"); exists(yml) {
		config = yml
	}
	setting := "redis.clusters in " + config
	for _, one := range nodes {
		switch {
		case one.Failure() == sentry.Unauthorized:
			c.add(Fail, fmt.Sprintf("Redis at %s rejects the password: %s", one.Address(), one.Error), "fix "+setting)
		case one.Error != "":
			e.addUnreachable("Redis", setting, one, Fail, c)
		}
	}
}

// checkWatchers checks the programs that devserver runs next to its web server.
func checkWatchers(_ context.Context, e *examination, c *Check) {
	watchers, workers := watching(e.Topology)
	if !watchers && !workers {
		c.add(Skip, "no silo has watchers or workers")
		return
	}
	s := e.services()
	if !s.loaded(c) {
		return
	}
	const without = "or add --no-watchers to sentry.command, or set watchers = false"
	if !s.Honcho {
		c.add(Fail, "Python cannot import honcho, which runs workers and watchers", "pip install honcho, in Sentry's environment")
	}
	for _, w := range s.Watchers {
		switch {
		case !watchers:
		case !w.Found:
			c.add(Fail, fmt.Sprintf("%s not found: %s", w.Name, w.Program), installHint(e.Topology.Control.Dir), without)
		case s.Node == "":
			c.add(Fail, w.Name+" needs node, which is not in PATH", "devenv sync, or install Node.js", without)
		default:
			c.add(OK, fmt.Sprintf("%s: %s, by %s", w.Name, w.Program, s.Node))
		}
	}
	if c.State == "" {
		c.add(OK, "honcho can be imported; no watcher is needed")
	}
}

// installHint returns the command that installs a checkout's Node packages. It is empty outside a
// checkout: an installed Sentry has no sources to watch.
func installHint(dir string) string {
	root, ok := sentry.Checkout(dir)
	if !ok {
		return ""
	}
	if exists(filepath.Join(root, "pnpm-lock.yaml")) {
		return "cd " + root + " && pnpm install"
	}
	return "cd " + root + " && yarn install"
}
