package cmd

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"silo/sentry"
)

// dialectWords are all dialects in one line, for a flag's usage.
func dialectWords() string {
	var words []string
	for _, d := range sentry.Dialects() {
		words = append(words, d.Name+" ("+d.Range()+")")
	}
	return strings.Join(words, ", ")
}

// dialect is one of sentry.Dialects, as `config dialects` prints it for programs.
type dialect struct {
	Name     string  `json:"name"`
	First    string  `json:"first"`
	Last     *string `json:"last"` // null: every later release, too
	Regions  string  `json:"regions"`
	Releases string  `json:"releases"`
}

func (a *app) configDialects(c *cli.Context) error {
	var list []dialect
	for _, d := range sentry.Dialects() {
		one := dialect{Name: d.Name, First: d.First.String(), Regions: d.Form, Releases: d.Range()}
		if _, last, ok := strings.Cut(d.Range(), " to "); ok {
			one.Last = &last
		}
		list = append(list, one)
	}
	if c.Bool("json") {
		return writeJSON(a.Stdout, list)
	}
	table := tabwriter.NewWriter(a.Stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "DIALECT\tSENTRY\tREGIONS ARE WRITTEN AS") // what cannot be written shows in Flush
	for _, d := range list {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\n", d.Name, d.Releases, d.Regions)
	}
	return table.Flush()
}
