package topology

import (
	"slices"
	"strings"

	"github.com/xrash/smetrics"
)

// nearest gives the known word that was probably meant, or "".
func nearest(word string, known []string) string {
	best, at := "", 1+min(len(word)/3, 2)
	for _, candidate := range known {
		if d := distance(word, candidate, at); d <= at && (best == "" || d < at) {
			best, at = candidate, d
		}
	}
	return best
}

// distance counts the edits between two words. Case and the choice of hyphen or
// underscore do not count; nor is there a need to count beyond most.
func distance(a, b string, most int) int {
	if len(a) > len(b)+most || len(b) > len(a)+most {
		return most + 1
	}
	return smetrics.WagnerFischer(plain(a), plain(b), 1, 1, 1)
}

func plain(word string) string {
	return strings.ReplaceAll(strings.ToLower(word), "-", "_")
}

// meant is the hint for a key that is not known in a table: a near one that is,
// the table where it is known, or what the table knows.
func meant(root, table *field, n *node) string {
	name := n.name
	known := make([]string, len(table.fields))
	for i, f := range table.fields {
		known[i] = f.name
	}
	near := nearest(name, known)
	if near != "" && distance(name, near, 1) <= 1 {
		return "did you mean " + near + "?"
	}
	if homes := nearer(homes(root, "", name), n.parent); len(homes) > 0 && len(homes) <= 3 {
		return "it belongs in " + strings.Join(homes, " or ")
	}
	if near != "" {
		return "did you mean " + near + "?"
	}
	return "known here: " + strings.Join(known, ", ")
}

// nearer gives those homes that are within a table, if there are any.
func nearer(homes []string, table *node) []string {
	prefix := "[" + home(table) + "."
	within := slices.DeleteFunc(slices.Clone(homes), func(home string) bool { return !strings.HasPrefix(home, prefix) })
	if len(within) > 0 {
		return within
	}
	return homes
}

// home is a table's path in the table of keys, where all regions are one.
func home(table *node) string {
	switch {
	case table.parent == nil:
		return ""
	case table.parent.path() == "region":
		return "region.NAME"
	}
	return dotted(home(table.parent), table.name)
}

// homes are the tables that know a key, by their paths.
func homes(table *field, path, name string) []string {
	var found []string
	for i := range table.fields {
		f := &table.fields[i]
		switch {
		case f.name == name && path == "":
			found = append(found, "the top of the file")
		case f.name == name:
			found = append(found, "["+path+"]")
		}
		switch f.form {
		case formTable:
			found = append(found, homes(f, dotted(path, f.name), name)...)
		case formTables:
			found = append(found, homes(f, dotted(path, f.name)+".NAME", name)...)
		default:
		}
	}
	return found
}
