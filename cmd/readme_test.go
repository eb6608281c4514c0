package cmd

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestREADMEListsTheCommands holds the README's table against the commands
// themselves.
func TestREADMEListsTheCommands(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(text), "<!-- commands:")
	if !ok {
		t.Fatal("the README has no table of commands")
	}
	table, _, _ = strings.Cut(table, "<!-- end of commands -->")
	got := strings.Split(strings.TrimSpace(table), "\n")[3:] // marker, head and rule
	var want []string
	for _, c := range (&app{}).program().Commands {
		if !c.Hidden {
			want = append(want, fmt.Sprintf("| `silo %s` | %s |", c.Name, c.Usage))
		}
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("the README lists\n%s\n\nthe program has\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestEveryFlagIsDocumented walks the commands: each has a usage, and so has
// each of its flags.
func TestEveryFlagIsDocumented(t *testing.T) {
	t.Parallel()
	program := (&app{}).program()
	for _, c := range program.Commands {
		if c.Usage == "" {
			t.Errorf("silo %s has no usage", c.Name)
		}
		for _, flag := range c.Flags {
			if documented, ok := flag.(interface{ GetUsage() string }); !ok || documented.GetUsage() == "" {
				t.Errorf("silo %s %s has no usage", c.Name, flag.Names()[0])
			}
		}
	}
}
