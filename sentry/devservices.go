package sentry

import (
	"slices"
	"strings"

	"silo/templates"
)

// StartedService is a service that getsentry/devservices has started.
type StartedService struct {
	Name     string // sentry, or another one that it started on its own
	Modes    []string
	Starting bool
}

// StartedServicesArgv returns the command that prints what devservices has started, by any
// Python. ParseStartedServices parses its output. Unlike `devservices status` it changes
// nothing and starts no Docker.
func StartedServicesArgv(python string) []string {
	return []string{python, "-c", templates.Text("python/devservices.py")}
}

// ParseStartedServices parses the output of StartedServicesArgv's command.
func ParseStartedServices(output []byte) (all []StartedService) {
	for line := range strings.Lines(string(output)) {
		if words := strings.Split(strings.TrimSpace(line), "\t"); len(words) == 3 {
			all = append(all, StartedService{Name: words[0], Modes: strings.Split(words[1], ","), Starting: words[2] == "starting"})
		}
	}
	return all
}

// Container is a Docker container of the servers for development.
type Container struct {
	Name   string
	Status string // as docker ps prints it: Up 3 hours (healthy), Exited (1) 2 days ago
}

// Broken reports whether the container should run but does not work. One that was stopped
// is not broken: `devservices down` leaves it.
func (c Container) Broken() bool {
	stopped := slices.ContainsFunc([]string{"Exited (0)", "Exited (137)", "Exited (143)"}, func(words string) bool { return strings.HasPrefix(c.Status, words) })
	return strings.Contains(c.Status, "(unhealthy)") || !strings.HasPrefix(c.Status, "Up ") && !strings.HasPrefix(c.Status, "Created") && !stopped
}

// Running reports whether the container runs.
func (c Container) Running() bool { return strings.HasPrefix(c.Status, "Up ") }

// ContainersArgv returns the command that lists the containers of `devservices`
// (devservices 1.3.2, constants.py) or of `sentry devservices` (runner/commands/devservices.py,
// all releases that have it). ParseContainers parses its output.
func ContainersArgv(servicesUp string) []string {
	filter := "name=^sentry_"
	if strings.HasPrefix(servicesUp, "devservices ") {
		filter = "label=orchestrator=devservices"
	}
	return []string{"docker", "ps", "--all", "--filter", filter, "--format", "{{.Names}}\t{{.Status}}"}
}

// ParseContainers parses the output of ContainersArgv's command.
func ParseContainers(output []byte) (all []Container) {
	for line := range strings.Lines(string(output)) {
		if name, status, ok := strings.Cut(strings.TrimSpace(line), "\t"); ok {
			all = append(all, Container{Name: name, Status: status})
		}
	}
	return all
}
