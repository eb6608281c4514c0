package sentry

import (
	"bufio"
	"encoding/hex"
	"os/exec"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// unliteral makes Python read one literal a line, and say in hexadecimal what it
// stands for.
const unliteral = `
import ast, sys
for line in sys.stdin:
    value = ast.literal_eval(line)
    assert isinstance(value, str) and ast.literal_eval(repr(value)) == value
    print(value.encode("utf-8", "surrogateescape").hex(), flush=True)
`

func TestPyStringMeansWhatItSays(t *testing.T) {
	t.Parallel()
	name, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3 in PATH")
	}
	python := exec.CommandContext(t.Context(), name, "-c", unliteral)
	in, inErr := python.StdinPipe()
	out, outErr := python.StdoutPipe()
	var trouble strings.Builder
	python.Stderr = &trouble
	if inErr != nil || outErr != nil || python.Start() != nil {
		t.Fatal("start python3", inErr, outErr)
	}
	answers := bufio.NewReader(out)
	check := func(t interface{ Fatalf(string, ...any) }, s string) {
		literal := pyString(s)
		if strings.ContainsFunc(literal, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Fatalf("%q: not printable ASCII: %q", s, literal)
		}
		if _, err := in.Write([]byte(literal + "\n")); err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		answer, err := answers.ReadString('\n')
		if err != nil {
			t.Fatalf("%q as %s: %v", s, literal, err)
		}
		if want := hex.EncodeToString([]byte(s)); strings.TrimSpace(answer) != want {
			t.Fatalf("%q as %s means %s", s, literal, answer)
		}
	}
	for _, s := range []string{
		"", "plain", `"`, `'''`, `"""`, `\`, `\"`, `\x41`, "\n", "\r\n", "\x00", "\x7f", "é", "\u2028", "\ufeff", "😀", "\U0010ffff",
		"\xff", "a\xc3", "\xed\xa0\x80", "{x}", "%s", `\N{BULLET}`, "#", "\"); import os; (\"",
	} {
		check(t, s)
	}
	rapid.Check(t, func(t *rapid.T) {
		check(t, rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) })).Draw(t, "s"))
	})
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := python.Wait(); err != nil {
		t.Fatal(err, trouble.String())
	}
}
