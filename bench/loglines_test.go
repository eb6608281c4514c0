//go:build linux

package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// joined returns the correct output for two lines of each producer.
func joined(s *generator) []string {
	var lines []string
	for i := range uint32(2) {
		for p := range uint32(producers) {
			lines = append(lines, siloName(int(p))+" | "+string(s.line(nil, p, i)))
		}
	}
	return lines
}

func TestCheckJoined(t *testing.T) {
	t.Parallel()
	s := newGenerator()
	tests := []struct {
		name   string
		mangle func(lines []string) []string
		want   string // of the error; empty: right
	}{
		{"right", func(l []string) []string { return l }, ""},
		{"a line is missing", func(l []string) []string { return l[:7] }, "7 of 8 lines whole, 0 out of order, 0 other"},
		{"two lines of one producer changed places", func(l []string) []string { l[1], l[5] = l[5], l[1]; return l }, "8 of 8 lines whole, 2 out of order"},
		{"a line came twice", func(l []string) []string { return append(l, l[7]) }, "9 of 8 lines whole, 1 out of order"},
		{"the head of one line and the tail of another", func(l []string) []string { l[4] = l[4][:60] + l[5][len(l[5])-len(l[4])+60:]; return l }, "7 of 8 lines whole, 0 out of order, 1 other"},
		{"another silo's prefix", func(l []string) []string { l[6] = strings.Replace(l[6], "r002", "r003", 1); return l }, "7 of 8 lines whole"},
		{"no prefix", func(l []string) []string { l[6] = l[6][len("r002 | "):]; return l }, "7 of 8 lines whole"},
		{"a line was cut in two", func(l []string) []string { return slices.Concat([]string{l[0][:50], l[0][50:]}, l[1:]) }, "7 of 8 lines whole, 1 out of order, 2 other"},
		{"a line of the supervisor", func(l []string) []string { return append(l, "silo: 3 lines are not shown here") }, "8 of 8 lines whole, 0 out of order, 1 other"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := s.checkJoined(strings.NewReader(strings.Join(tt.mangle(joined(s)), "\n") + "\n"))
			if err != nil {
				t.Fatal(err)
			}
			text := ""
			if err := got.err(2); err != nil {
				text = err.Error()
			}
			if tt.want == "" && text != "" || !strings.Contains(text, tt.want) {
				t.Errorf("got %q, want %q", text, tt.want)
			}
		})
	}
}

func TestCheckRaw(t *testing.T) {
	t.Parallel()
	s := newGenerator()
	var right []byte
	for i := range uint32(3) {
		right = append(append(right, s.line(nil, 2, i)...), '\n')
	}
	swapped := slices.Concat(right[lineSize:2*lineSize], right[:lineSize], right[2*lineSize:])
	for name, tt := range map[string]struct {
		raw  []byte
		fine bool
	}{
		"right": {right, true}, "short": {right[:len(right)-1], false}, "longer": {append(slices.Clone(right), '\n'), false}, "swapped": {swapped, false},
	} {
		if err := s.checkRaw(bytes.NewReader(tt.raw), 2, 3); (err == nil) != tt.fine {
			t.Errorf("%s: %v", name, err)
		}
	}
}
