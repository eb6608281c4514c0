package traffic

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Filter selects exchanges. Its zero value matches all.
type Filter struct {
	Silos    []string // destinations; none: any
	From     string   // Caller.Name
	Method   string
	Path     string // part of the path and query
	Statuses Statuses
	Crossing bool // only requests from one region to another
}

// Match reports whether an exchange passes the filter.
func (f Filter) Match(e Exchange) bool {
	return (len(f.Silos) == 0 || slices.Contains(f.Silos, e.Silo)) &&
		(f.From == "" || f.From == e.Caller.Name()) &&
		(f.Method == "" || strings.EqualFold(f.Method, e.Method)) &&
		strings.Contains(e.Path, f.Path) &&
		f.Statuses.Match(e.Status) &&
		(!f.Crossing || e.Crossing)
}

// Statuses are ranges of HTTP statuses; none: any.
type Statuses []struct{ From, To int }

// ParseStatuses parses a list such as 5xx,404,300-399. An empty one means any.
func ParseStatuses(text string) (Statuses, error) {
	var list Statuses
	if text == "" {
		return nil, nil
	}
	for item := range strings.SplitSeq(text, ",") {
		low, high, isRange := strings.Cut(strings.TrimSpace(item), "-")
		if !isRange {
			high = low
		}
		from, fromErr := strconv.Atoi(strings.ReplaceAll(strings.ToLower(low), "x", "0"))
		to, toErr := strconv.Atoi(strings.ReplaceAll(strings.ToLower(high), "x", "9"))
		if fromErr != nil || toErr != nil || from < 0 || to > 999 || from > to || len(low) != 3 || len(high) != 3 {
			return nil, fmt.Errorf("status %q: not a status like 404, a class like 5xx or a range like 300-399", item)
		}
		list = append(list, struct{ From, To int }{from, to})
	}
	return list, nil
}

// String returns the list in the form that ParseStatuses accepts.
func (s Statuses) String() string {
	items := make([]string, len(s))
	for i, r := range s {
		items[i] = fmt.Sprintf("%03d-%03d", r.From, r.To)
	}
	return strings.Join(items, ",")
}

// Match reports whether a status is in the list.
func (s Statuses) Match(status int) bool {
	for _, r := range s {
		if r.From <= status && status <= r.To {
			return true
		}
	}
	return len(s) == 0
}
