package templates

import (
	"strings"
	"testing"
)

func TestCompletionOfEveryShell(t *testing.T) {
	t.Parallel()
	for _, name := range Shells() {
		if text, err := Completion(name); err != nil || !strings.Contains(text, " __complete ") {
			t.Errorf("%s: %v, %q", name, err, text)
		}
	}
	if _, err := Completion("tcsh"); err == nil {
		t.Error("a script for a shell that has none")
	}
}

// What troff would take for a request or an escape is text.
func TestManualIsSafeText(t *testing.T) {
	t.Parallel()
	text, err := Manual{
		Usage: "a-b",
		Verbs: []ManualVerb{{Name: "x", Takes: "[Y…]", Usage: `.so C:\dir`, Flags: []ManualFlag{{Names: []string{"--long", "-l"}, Value: "N", Usage: "'quoted"}}}},
	}.Text()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"\nsilo \\- a\\-b\n", "\n.SS \"silo x [Y.\\|.\\|.]\"\n\\&.so C:\\edir\n",
		"\n.TP\n\\fB\\-\\-long\\fR, \\fB\\-l\\fR \\fIN\\fR\n\\&'quoted\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}
