package api

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"silo/plan"
	"silo/traffic"
)

// latest is how many exchanges are listed where nobody says how many.
const latest = 100

// queryOf writes a filter, and how many exchanges are wanted, as the server reads
// them. No number leaves the server's own.
func queryOf(f traffic.Filter, n ...int) string {
	q := url.Values{}
	for name, value := range map[string]string{
		"from": f.From, "method": f.Method, "path": f.Path, "status": f.Statuses.String(),
	} {
		if value != "" {
			q.Set(name, value)
		}
	}
	for _, silo := range f.Silos {
		q.Add("silo", silo)
	}
	if f.Crossing {
		q.Set("crossing", "1")
	}
	for _, number := range n {
		q.Set("n", strconv.Itoa(number))
	}
	return q.Encode()
}

// filter reads what queryOf wrote. What is not understood is answered, and not ok.
func (s *Server) filter(w http.ResponseWriter, r *http.Request) (f traffic.Filter, ok bool) {
	q := r.URL.Query()
	f = traffic.Filter{Silos: q["silo"], From: q.Get("from"), Method: q.Get("method"), Path: q.Get("path"), Crossing: q.Get("crossing") == "1"}
	var err error
	if f.Statuses, err = traffic.ParseStatuses(q.Get("status")); err != nil {
		answer(w, http.StatusBadRequest, refusal{Error: err.Error()})
		return f, false
	}
	silos := s.names()
	for _, call := range s.supervisor.Traffic().Calls() { // of silos that are gone, too
		if !slices.Contains(silos, call.To) {
			silos = append(silos, call.To)
		}
	}
	return f, known(w, f.Silos, silos)
}

// names are the silos that there are.
func (s *Server) names() []string {
	silos := s.supervisor.Snapshot().Silos
	names := make([]string, len(silos))
	for i, silo := range silos {
		names[i] = silo.Name
	}
	return names
}

// known refuses names that are none of the known ones.
func known(w http.ResponseWriter, names, known []string) bool {
	for _, name := range names {
		if !slices.Contains(known, name) {
			refuse(w, &plan.UnknownSiloError{Name: name, Known: known})
			return false
		}
	}
	return true
}

// number reads a parameter that is a whole number of at least 0. What is not is
// answered, and not ok.
func number(w http.ResponseWriter, r *http.Request, name string, otherwise int) (n int, ok bool) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return otherwise, true
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		answer(w, http.StatusBadRequest, refusal{Error: name + " is not a number of 0 or more"})
		return 0, false
	}
	return n, true
}
