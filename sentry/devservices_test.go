package sentry

import (
	"os"
	"os/exec"
	"reflect"
	"testing"
)

func TestStartedServices(t *testing.T) {
	t.Parallel()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3 in PATH")
	}
	home := t.TempDir()
	run := func(argv []string) []byte {
		t.Helper()
		command := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
		command.Env = append(os.Environ(), "HOME="+home)
		output, err := command.Output()
		if err != nil {
			t.Fatal(err)
		}
		return output
	}
	if got := ParseStartedServices(run(StartedServicesArgv(python))); len(got) > 0 {
		t.Errorf("without devservices: %v", got)
	}
	run([]string{python, "-c", `
import os, sqlite3
directory = os.path.expanduser("~/.local/share/sentry-devservices")
os.makedirs(directory)
state = sqlite3.connect(directory + "/state")
for table in ("started", "starting"):
    state.execute("create table %s_services (service_name text primary key, mode text, timestamp timestamp)" % table)
state.execute("insert into started_services values ('sentry', 'default,profiling', 1)")
state.execute("insert into starting_services values ('snuba', 'default', 1)")
state.commit()
`})
	want := []StartedService{{Name: "sentry", Modes: []string{"default", "profiling"}}, {Name: "snuba", Modes: []string{"default"}, Starting: true}}
	if got := ParseStartedServices(run(StartedServicesArgv(python))); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestContainers(t *testing.T) {
	t.Parallel()
	const listing = "a\tUp 3 hours (healthy)\nb\tUp 2 minutes (unhealthy)\nc\tExited (0) 2 days ago\nd\tExited (1) 2 days ago\ne\tExited (137) 5 minutes ago\nf\tRestarting (1) 5 seconds ago\ng\tCreated\nh\tUp 5 seconds (health: starting)\ni\tDead\n"
	var broken, running string
	for _, c := range ParseContainers([]byte(listing)) {
		if c.Broken() {
			broken += c.Name
		}
		if c.Running() {
			running += c.Name
		}
	}
	if broken != "bdfi" || running != "abh" {
		t.Errorf("broken %s, running %s", broken, running)
	}
}
