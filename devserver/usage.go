package devserver

import (
	_ "embed"
	"fmt"
	"strings"
)

//go:embed usage.txt
var usageTail string

// usage is the text of --help.
func usage() string {
	var text strings.Builder
	fmt.Fprint(&text, "Usage: devserver [OPTIONS] ADDRESS\n\n  A stand-in for Sentry's devserver: one silo, without Sentry.\n\nOptions:\n")
	for _, o := range options() {
		name := "--" + o.name
		if o.off {
			name += " / --no-" + o.name
		}
		if o.short != "" {
			name = "-" + o.short + ", " + name
		}
		if o.value != "" {
			name += " " + o.value
		}
		if o.help == "" {
			fmt.Fprintf(&text, "  %s\n", name)
		} else {
			fmt.Fprintf(&text, "  %-30s  %s\n", name, o.help)
		}
	}
	return text.String() + usageTail
}
