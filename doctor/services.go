package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"silo/sentry"
)

// services are a Sentry's, or why there is nothing to say of them.
type services struct {
	sentry.Services
	absent string // why nobody was asked
	failed string // what went wrong with asking
}

// askServices asks the Sentry of control, in control's environment.
func (v *visit) askServices(ctx context.Context) services {
	look := v.look(ctx)
	python, ok := look.Python()
	switch {
	case !look.IsSentry():
		return services{absent: words(look.Command) + " is not Sentry's own command"}
	case !ok:
		return services{absent: "no Python that runs Sentry was found"}
	case !exists(v.Topology.Sentry.Config):
		return services{absent: v.Topology.Sentry.Config + " is not there"}
	}
	// Clients and servers are to speak as sentry.Service.Failure understands them.
	printed, err := v.Run(ctx, sentry.ServicesArgv(python), look.Dir, append(v.environ(v.Topology.Control), "LC_ALL=C.UTF-8"))
	if err != nil {
		if errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
			return services{failed: fmt.Sprintf("Sentry's settings were not loaded within %.0f s", servicesLimit.Seconds())}
		}
		return services{failed: fmt.Sprintf("%s could not be asked for its settings: %v", python, err)}
	}
	s, err := sentry.ParseServices(printed)
	if err != nil {
		return services{failed: err.Error()}
	}
	return services{Services: s}
}

// there tells whether the services are known; else the check says why not.
func (s services) there(c *Check) bool {
	switch {
	case s.absent != "":
		c.add(Skip, s.absent)
	case s.failed != "":
		c.add(Skip, "the settings are not known")
	case s.Error != "":
		c.add(Skip, "the settings do not load")
	}
	return c.State == ""
}

// lookAtSettings tells whether Sentry's settings load at all, and in what.
func lookAtSettings(_ context.Context, v *visit, c *Check) {
	s, path := v.services(), v.Topology.Sentry.Config
	switch {
	case s.absent != "":
		c.add(Skip, s.absent)
	case s.failed != "":
		c.add(Warn, s.failed, v.sentryCommand("config list")+" shows what Sentry says itself")
	case s.Error != "" && s.Line > 0:
		c.add(Fail, fmt.Sprintf("%s:%d: %s", path, s.Line, s.Error), "mend that line; "+v.sentryCommand("config list")+" tries it again")
	case s.Error != "":
		c.add(Fail, fmt.Sprintf("%s does not load: %s", path, s.Error), v.sentryCommand("config list")+" shows the whole error")
	default:
		c.add(OK, fmt.Sprintf("load in %.1f s, by Python %s", s.Seconds, s.Python))
	}
}

// sentryCommand is a command of Sentry's that reads this configuration.
func (v *visit) sentryCommand(rest string) string {
	command := v.Topology.Control.Command
	n := 1
	if filepath.Base(command[0]) != "sentry" {
		n = min(3, len(command)) // python -m sentry
	}
	text := words(command[:n]) + " " + rest
	if dir := filepath.Dir(v.Topology.Sentry.Config); dir != filepath.Join(v.Home, ".sentry") {
		text = "SENTRY_CONF=" + dir + " " + text
	}
	return text
}

// lookAtPostgres says how each database of the settings has answered. It matters
// since /_health/ is 200 with Postgres down (sentry/middleware/health.py).
func lookAtPostgres(_ context.Context, v *visit, c *Check) {
	s := v.services()
	if !s.there(c) {
		return
	}
	met := map[string]bool{}
	for _, one := range s.Databases {
		place := one.Address() + "/" + one.Database
		if met[place] {
			continue // another alias of it
		}
		met[place] = true
		if one.Kind != "postgres" {
			c.add(Skip, fmt.Sprintf("DATABASES[%q] is %s, which is not looked at", one.Name, one.Kind))
			continue
		}
		v.lookAtDatabase(one, c)
	}
	if len(s.Databases) == 0 {
		c.add(Fail, "the settings name no database", "DATABASES in "+v.Topology.Sentry.Config)
	}
}

func (v *visit) lookAtDatabase(one sentry.Service, c *Check) {
	perSilo := v.Topology.Sentry.Databases == "per-silo"
	called := fmt.Sprintf("%s, database %s", one.Address(), one.Database)
	upgrade := v.sentryCommand("upgrade")
	if perSilo {
		upgrade = "silo db migrate brings each silo's own up to date"
	}
	switch trouble := one.Failure(); {
	case trouble == sentry.NoDatabase && perSilo:
		c.add(OK, fmt.Sprintf("%s answers; %s is not there, and each silo has a database of its own", one.Address(), one.Database))
	case trouble == sentry.NoDatabase:
		c.add(Fail, fmt.Sprintf("%s answers, but has no database %s", one.Address(), one.Database), createdb(one), upgrade, v.setting("DATABASES", one))
	case trouble == sentry.NoRole:
		c.add(Fail, fmt.Sprintf("%s answers, but has no user %s", one.Address(), one.User), server("createuser", one)+" --createdb "+one.User, v.setting("DATABASES", one))
	case trouble == sentry.Unauthorized:
		c.add(Fail, fmt.Sprintf("%s does not let %s in: %s", one.Address(), one.User, one.Error), fmt.Sprintf("USER and PASSWORD of DATABASES[%q] in %s", one.Name, v.Topology.Sentry.Config))
	case trouble != "":
		v.unreachable("Postgres", "DATABASES", one, Fail, c)
	case perSilo:
		c.add(OK, fmt.Sprintf("Postgres %s at %s; each silo has a database of its own there", one.Version, one.Address()))
	case !one.Migrated:
		c.add(Fail, fmt.Sprintf("Postgres %s at %s, but nothing has been put into it yet", one.Version, called), upgrade)
	case one.Pending > 0:
		c.add(Warn, fmt.Sprintf("Postgres %s at %s, behind by %s", one.Version, called, several(one.Pending, "migration")), upgrade)
	default:
		c.add(OK, fmt.Sprintf("Postgres %s at %s, migrated", one.Version, called))
	}
}

// createdb is the command that makes a database.
func createdb(one sentry.Service) string {
	text := server("createdb", one)
	if one.User != "" {
		text += " -U " + one.User
	}
	return text + " " + one.Database
}

// server is one of Postgres's commands, told which server to speak to.
func server(command string, one sentry.Service) string {
	if one.Host != "" {
		command += " -h " + one.Host
	}
	return command + " -p " + strconv.Itoa(one.Port)
}

// setting tells where a service's place stands.
func (v *visit) setting(name string, one sentry.Service) string {
	if name == "DATABASES" {
		name = fmt.Sprintf("DATABASES[%q]", one.Name)
	}
	return fmt.Sprintf("or change %s in %s", name, v.Topology.Sentry.Config)
}

// unreachable speaks of a server that did not answer.
func (v *visit) unreachable(what, setting string, one sentry.Service, state State, c *Check) {
	reason := one.Error
	switch one.Failure() {
	case sentry.Refused:
		reason = "nobody listens there"
	case sentry.Unresolved:
		reason = "that host is not known"
	case sentry.TimedOut:
		reason = "no answer within 3 s"
	case sentry.NoDatabase, sentry.NoRole, sentry.Unauthorized, sentry.OtherFailure:
	}
	mend := fmt.Sprintf("start %s at %s", what, one.Address())
	if one.Local() && one.Failure() != sentry.OtherFailure {
		mend = v.choice().ServicesUp(v.Topology.Control.Dir) + " starts it"
	}
	c.add(state, fmt.Sprintf("%s at %s is not reachable: %s", what, one.Address(), reason), mend, v.setting(setting, one))
}

// lookAtRedis says how the clusters and the queue of the settings have answered.
// Sentry ends where a cluster that it uses does not (22.11.0 and later, at boot).
func lookAtRedis(_ context.Context, v *visit, c *Check) {
	s := v.services()
	if !s.there(c) {
		return
	}
	var order []string
	nodes := map[string][]sentry.Service{}
	for _, one := range s.Redis {
		if nodes[one.Name] == nil {
			order = append(order, one.Name)
		}
		nodes[one.Name] = append(nodes[one.Name], one)
	}
	for _, name := range order {
		v.lookAtCluster(nodes[name], c)
	}
	for _, one := range s.Brokers {
		v.lookAtBroker(one, c)
	}
}

func (v *visit) lookAtCluster(nodes []sentry.Service, c *Check) {
	var up, down []sentry.Service
	for _, one := range nodes {
		if one.Error == "" {
			up = append(up, one)
		} else {
			down = append(down, one)
		}
	}
	switch name := nodes[0].Name; {
	case len(down) == 0 || len(up) > 0 && nodes[0].Clustered: // one node knows the others
		c.add(OK, fmt.Sprintf("Redis %s at %s, cluster %s", up[0].Version, places(up), name))
	case !nodes[0].Used:
		c.add(OK, fmt.Sprintf("cluster %s (%s) does not answer, and no setting uses it", name, places(down)))
	default:
		for _, one := range down {
			v.lookAtNode(one, c)
		}
	}
}

func (v *visit) lookAtNode(one sentry.Service, c *Check) {
	where := filepath.Join(filepath.Dir(v.Topology.Sentry.Config), "config.yml")
	if one.Failure() == sentry.Unauthorized {
		c.add(Fail, fmt.Sprintf("Redis at %s wants another password: %s", one.Address(), one.Error), "redis.clusters in "+where)
		return
	}
	at := *v
	t := *v.Topology
	if exists(where) {
		t.Sentry.Config = where
	}
	at.Topology = &t
	at.unreachable("Redis", "redis.clusters", one, Fail, c)
}

func places(nodes []sentry.Service) string {
	const enough = 2
	var all []string
	for i, one := range nodes {
		if i == enough {
			return strings.Join(all, ", ") + " and " + itoa(len(nodes)-i) + " more"
		}
		all = append(all, one.Address())
	}
	return strings.Join(all, ", ")
}

// lookAtBroker looks at the queue of tasks. Web servers put tasks into it, and
// only workers cannot do without.
func (v *visit) lookAtBroker(one sentry.Service, c *Check) {
	if one.Error == "" {
		c.add(OK, fmt.Sprintf("task queue: %s at %s", one.Kind, one.Address()))
		return
	}
	state := Warn
	if _, workers := watching(v.Topology); workers {
		state = Fail
	}
	v.unreachable("the task queue ("+one.Kind+")", "BROKER_URL", one, state, c)
}

// lookAtWatchers looks for what devserver runs beside its web server.
func lookAtWatchers(_ context.Context, v *visit, c *Check) {
	watchers, workers := watching(v.Topology)
	if !watchers && !workers {
		c.add(Skip, "no silo has watchers or workers")
		return
	}
	s := v.services()
	if !s.there(c) {
		return
	}
	const without = "silos go without by --no-watchers in sentry.command, or watchers = false"
	if !s.Honcho {
		c.add(Fail, "honcho cannot be imported, which runs workers and watchers beside devserver", "pip install honcho, in Sentry's environment")
	}
	for _, w := range s.Watchers {
		switch {
		case !watchers:
		case !w.Found:
			c.add(Fail, fmt.Sprintf("%s is not there: %s", w.Name, w.Program), install(v.Topology.Control.Dir), without)
		case s.Node == "":
			c.add(Fail, w.Name+" needs node, which is not in PATH", "devenv sync, or an installation of Node.js", without)
		default:
			c.add(OK, fmt.Sprintf("%s: %s, by %s", w.Name, w.Program, s.Node))
		}
	}
	if c.State == "" {
		c.add(OK, "honcho can be imported; the settings name no watcher that is needed")
	}
}

// install is how a checkout's Node packages are installed; empty outside of one,
// since an installed Sentry has no source that could be watched.
func install(dir string) string {
	root, ok := sentry.Checkout(dir)
	if !ok {
		return ""
	}
	if _, err := os.Stat(filepath.Join(root, "pnpm-lock.yaml")); err == nil {
		return "pnpm install, in " + root
	}
	return "yarn install, in " + root
}
