package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"silo/proc"
	"silo/sentry"
)

// checkDevservices checks the containers in which a checkout runs Postgres, Redis and the
// other development servers. Docker is not needed if these run in another way.
func checkDevservices(ctx context.Context, e *examination, c *Check) {
	finder := e.finder(ctx)
	root, isCheckout := sentry.Checkout(e.Topology.Control.Dir)
	switch {
	case !finder.IsSentry():
		c.add(Skip, strings.Join(finder.Command, " ")+" is not Sentry's own command")
		return
	case !isCheckout:
		c.add(Skip, e.Topology.Control.Dir+" is not in a checkout of Sentry")
		return
	}
	choice, _ := e.choice() // checkSentry reports the error
	up := choice.ServicesUp(root)
	needed := e.missingServers()
	listing, err := e.Exec(ctx, sentry.ContainersArgv(up), root, e.Environ)
	switch {
	case errors.Is(err, proc.ErrNotFound):
		c.add(needed.or(OK), "docker not found in PATH; "+up+" runs the servers in containers"+needed.note(), needed.hints("install Docker, then "+up)...)
	case err != nil:
		c.add(needed.or(OK), "the Docker daemon does not answer"+needed.note(), needed.hints("start Docker, then "+up)...)
	default:
		e.addContainers(ctx, up, sentry.ParseContainers(listing), needed, c)
	}
}

// need says whether a server in the settings does not answer: Fail, Warn or OK.
type need State

// missingServers returns Fail if a server does not answer, Warn if that is unknown, and OK
// if all answer.
func (e *examination) missingServers() need {
	s := e.services()
	down := func(one sentry.Service) bool {
		return one.Error != "" && one.Local() && (one.Kind != "redis" || one.Used)
	}
	switch {
	case s.skipped != "", len(s.Databases)+len(s.Redis) == 0:
		return need(Warn)
	case slices.ContainsFunc(s.Databases, down), slices.ContainsFunc(s.Redis, down):
		return need(Fail)
	}
	return need(OK)
}

func (n need) or(other State) State {
	if n == need(OK) {
		return other
	}
	return State(n)
}

func (n need) note() string {
	if n == need(OK) {
		return ", but Postgres and Redis answer"
	}
	return ""
}

func (n need) hints(hint string) []string {
	if n == need(OK) {
		return nil
	}
	return []string{hint}
}

// addContainers reports what devservices runs, and which containers do not work.
func (e *examination) addContainers(ctx context.Context, up string, all []sentry.Container, needed need, c *Check) {
	var running []string
	for _, container := range all {
		if container.Running() {
			running = append(running, container.Name)
		}
	}
	what := strings.TrimSuffix(up, " up") + e.startedModes(ctx, up)
	if len(running) == 0 {
		c.add(needed.or(OK), what+" runs no containers"+needed.note(), needed.hints(up)...)
	} else {
		c.add(OK, fmt.Sprintf("%s runs %s: %s", what, plural(len(running), "container"), join(running, 6)))
	}
	for _, container := range all {
		if container.Broken() {
			c.add(Warn, container.Name+": "+container.Status, "docker logs --tail 50 "+container.Name+", then "+up)
		}
	}
}

// startedModes returns the modes in which devservices was started, such as " (sentry:
// default)". `sentry devservices` has no modes.
func (e *examination) startedModes(ctx context.Context, up string) string {
	python, ok := e.finder(ctx).Python()
	if !ok || !strings.HasPrefix(up, "devservices ") {
		return ""
	}
	output, err := e.Exec(ctx, sentry.StartedServicesArgv(python), "", e.Environ)
	if err != nil {
		return "" // the containers matter more than the names of modes
	}
	var started []string
	for _, s := range sentry.ParseStartedServices(output) {
		text := s.Name + ": " + strings.Join(s.Modes, ", ")
		if s.Starting {
			text += ", starting"
		}
		started = append(started, text)
	}
	if len(started) == 0 {
		return ""
	}
	return " (" + strings.Join(started, "; ") + ")"
}
