package cmd

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

var update = flag.Bool("update", false, "regenerate the manual page and the README's table of commands")

// TestManual compares docs/silo.1 with the tree of commands.
func TestManual(t *testing.T) {
	const file = "../docs/silo.1"
	var page, stderr bytes.Buffer
	if code := Main(t.Context(), Invocation{Args: []string{"man"}, Stdout: &page, Stderr: &stderr}); code != exitDone {
		t.Fatalf("exit %d: %s", code, &stderr)
	}
	if *update {
		if err := os.WriteFile(file, page.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if page.String() != string(kept) {
		t.Errorf("%s is out of date; go test ./cmd -run TestManual -update regenerates it", file)
	}
	for _, c := range (&app{}).program().Commands {
		if shown := strings.Contains(page.String(), ".SS \"silo "+c.Name); shown == c.Hidden {
			t.Errorf("silo %s is hidden: %v, and is on the page: %v", c.Name, c.Hidden, shown)
		}
	}
}

func TestManualEscapesTroff(t *testing.T) {
	t.Parallel()
	text, err := manual(&cli.App{
		Usage:    "a-b",
		Commands: []*cli.Command{{Name: "x", Category: categoryLook, ArgsUsage: "[Y…]", Usage: `.so C:\dir`, Flags: []cli.Flag{&cli.StringFlag{Name: "long", Aliases: []string{"l"}, Usage: "'quoted `N`"}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"\nsilo \\- a\\-b\n", "\n.SS \"silo x [Y.\\|.\\|.]\"\n\\&.so C:\\edir.\n",
		"\n.TP\n\\fB\\-\\-long\\fR, \\fB\\-l\\fR \\fIN\\fR\n\\&'quoted N\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}
