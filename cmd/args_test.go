package cmd

import (
	"errors"
	"strings"
	"testing"
)

func TestParseArgs(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, line, want string }{
		{"already in order", "status --json", "--json status"},
		{"a flag after a name", "logs us -f", "logs -f -- us"},
		{"a value after a name", "logs us -n 5 eu", "logs -n 5 -- us eu"},
		{"a global flag after the verb", "status -C dir --json", "-C dir --json status"},
		{"-f before the verb is --file", "-f a.toml logs -f", "-f a.toml logs -f"},
		{"-f after a verb without --follow is --file", "up -f a.toml", "-f a.toml up"},
		{"a joined value", "up --timeout=3s us", "up --timeout=3s -- us"},
		{"a subcommand", "config print -f a.toml", "-f a.toml config print"},
		{"another program's flags", "run us -- ls -l --json", "run -- us ls -l --json"},
		{"another program's flags without --", "run us ls -l", "run -- us ls -l"},
		{"a command without a silo", "exec --timeout 3s -- ls -l --json", "exec --timeout 3s -- ls -l --json"},
		{"a command without --", "exec ls -l --json", "exec -- ls -l --json"},
		{"flags of a command that parses its own", "devserver --delay 1s x", "devserver --delay 1s x"},
		{"values of all kinds", "up --detach=false --timeout 1m30s --json=true", "--json=true up --detach=false --timeout 1m30s"},
		{"a number with a prefix", "logs -n 0x10", "logs -n 0x10"},
		{"nothing", "", ""},
		{"a flag between the name and --", "run us -q -- ls -q", "-q run -- us ls -q"},
		{"a flag between the name and the command", "run us -q ls -q", "-q run -- us ls -q"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			line, err := parseArgs((&app{}).program(), strings.Fields(test.line))
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(line.reordered(), " "); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestParseArgsErrors(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"stat":              `unknown verb "stat"; did you mean start or status?`,
		"up --detatch":      "silo up has no flag --detatch; did you mean --detach?",
		"up ---detach":      "silo up has no flag ---detach; did you mean --detach?",
		"--file":            "--file needs a value; silo --help",
		"config prnt":       `unknown verb "prnt"; did you mean print?`,
		"logs us --follwo":  "silo logs has no flag --follwo; did you mean --follow?",
		"up --timeout 10":   `--timeout cannot be "10": it takes a duration, such as 10s or 2m; silo up --help`,
		"up --timeout=-5s":  `--timeout cannot be "-5s": it takes a duration, such as 10s or 2m; silo up --help`,
		"logs -n -3":        `-n cannot be "-3": it takes a number, such as 20; silo logs --help`,
		"exec --mode x":     `--mode cannot be "x"; use one of silos, monolith`,
		"up -timeout=x":     `-timeout cannot be "x": it takes a duration, such as 10s or 2m; silo up --help`,
		"logs us -n few":    `-n cannot be "few": it takes a number, such as 20; silo logs --help`,
		"--json=1.5 status": `--json cannot be "1.5": it takes true or false; silo --help`,
		"run us -x -- ls":   "silo run has no flag -x; silo run --help",
		"config print -q=":  `-q cannot be "": it takes true or false; silo config print --help`,
	} {
		_, err := parseArgs((&app{}).program(), strings.Fields(line))
		var usage *usageError
		if !errors.As(err, &usage) || usage.text+"; "+usage.hint != want {
			t.Errorf("%q: got %v, want %s", line, usage, want)
		}
	}
}
