package topology

import (
	"slices"
	"strings"

	"github.com/xrash/smetrics"
)

// Nearest returns the known words that word was probably meant to be, in their order:
// those with the fewest edits (Levenshtein distance), and at most 1 to 3 edits depending
// on the length of word. A prefix of three letters or more counts as one edit. Case is
// ignored, and hyphens equal underscores.
func Nearest(word string, known []string) []string {
	var best []string
	limit := 1 + min(len(word)/3, 2)
	for _, candidate := range known {
		switch d := distance(word, candidate, limit); {
		case d < limit || d == limit && best == nil:
			best, limit = []string{candidate}, d
		case d == limit:
			best = append(best, candidate)
		}
	}
	return best
}

// nearest returns the only nearest word, or "".
func nearest(word string, known []string) string {
	if all := Nearest(word, known); len(all) == 1 {
		return all[0]
	}
	return ""
}

// distance returns the number of edits between two words. The count is exact up to limit.
func distance(word, known string, limit int) int {
	plain := func(word string) string { return strings.ReplaceAll(strings.ToLower(word), "-", "_") }
	word, known = plain(word), plain(known)
	switch {
	case len(word) >= 3 && len(known) > len(word) && strings.HasPrefix(known, word):
		return 1
	case max(len(word), len(known))-min(len(word), len(known)) > limit:
		return limit + 1
	}
	return smetrics.WagnerFischer(word, known, 1, 1, 1)
}

// suggest returns the hint for an unknown key: a similar key of the same table, the
// table that the key belongs in, or all keys of this table.
func (c *checker) suggest(f *field, n *node, name, table string) string {
	if table == "" && n.child("id") != nil && nearest(name, []string{"region"}) == "" {
		return "a region is written [" + dotted("region", name) + "]"
	}
	known := make([]string, len(f.fields))
	for i, f := range f.fields {
		known[i] = f.name
	}
	near := nearest(name, known)
	if near != "" && distance(name, near, 1) <= 1 {
		return "did you mean " + near + "?"
	}
	homes := homes(c.spec, "", name)
	below := slices.DeleteFunc(slices.Clone(homes), func(home string) bool { return !strings.HasPrefix(home, "in ["+table+".") })
	if len(below) > 0 {
		homes = below
	}
	switch {
	case len(homes) > 0 && len(homes) <= 3:
		return "it belongs " + strings.Join(homes, " or ")
	case near != "":
		return "did you mean " + near + "?"
	}
	return "known keys: " + strings.Join(known, ", ")
}

// homes returns the tables that have a key.
func homes(table *field, path, name string) []string {
	var found []string
	for i := range table.fields {
		f := &table.fields[i]
		switch {
		case f.name == name && path == "":
			found = append(found, "at the top of the file")
		case f.name == name:
			found = append(found, "in ["+path+"]")
		}
		below := dotted(path, f.name)
		if f.kind == kindNamedTables {
			below += ".NAME"
		}
		found = append(found, homes(f, below, name)...)
	}
	return found
}
