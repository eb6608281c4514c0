package cmd

import (
	"errors"
	"strings"
	"testing"
)

func TestArrange(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, line, want string }{
		{"as the library wants it", "status --json", "--json status"},
		{"a flag after a name", "logs us -f", "logs -f -- us"},
		{"a value after a name", "logs us -n 5 eu", "logs -n 5 -- us eu"},
		{"a global flag after the verb", "status -C dir --json", "-C dir --json status"},
		{"-f before the verb is the file", "-f a.toml logs -f", "-f a.toml logs -f"},
		{"-f after a verb that has none is the file", "up -f a.toml", "-f a.toml up"},
		{"a joined value", "up --timeout=3s us", "up --timeout=3s -- us"},
		{"a verb of a verb", "config print -f a.toml", "-f a.toml config print"},
		{"another program's flags", "run us -- ls -l --json", "run -- us -- ls -l --json"},
		{"another program's flags without --", "run us ls -l", "run -- us ls -l"},
		{"a command without a silo", "exec --timeout 3s -- ls -l --json", "exec --timeout 3s -- ls -l --json"},
		{"a command without --", "exec ls -l --json", "exec -- ls -l --json"},
		{"the stand-in's flags", "devserver --delay 1s x", "devserver --delay 1s x"},
		{"nothing", "", ""},
		{"help of a verb", "up --help", "up --help"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := arrange((&app{}).program(), strings.Fields(test.line))
			if err != nil || strings.Join(got, " ") != test.want {
				t.Errorf("got %q, %v; want %q", got, err, test.want)
			}
		})
	}
}

func TestArrangeRefuses(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"stat":             "no verb",
		"up --detatch":     "no flag --detatch",
		"--file":           "needs a value",
		"config prnt":      "no verb",
		"logs us --follwo": "no flag",
	} {
		_, err := arrange((&app{}).program(), strings.Fields(line))
		var usage *usageError
		if !errors.As(err, &usage) || !strings.Contains(usage.text, want) || usage.hint == "" && !strings.Contains(want, "value") {
			t.Errorf("%q: got %v", line, err)
		}
	}
}
