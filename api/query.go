package api

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"silo/plan"
	"silo/traffic"
)

// defaultLimit is how many exchanges are listed if the query has no limit.
const defaultLimit = 100

// encodeFilter returns the query of a filter and of a number of exchanges. With n 0, the server's
// default applies.
func encodeFilter(f traffic.Filter, n ...int) string {
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

// filter parses the query of encodeFilter, with the given name and default of the number. If it is
// invalid, it responds and ok is false.
func (s *Server) filter(w http.ResponseWriter, r *http.Request, parameter string, otherwise int) (f traffic.Filter, n int, ok bool) {
	q := r.URL.Query()
	f = traffic.Filter{Silos: q["silo"], From: q.Get("from"), Method: q.Get("method"), Path: q.Get("path"), Crossing: q.Get("crossing") == "1"}
	var err error
	if f.Statuses, err = traffic.ParseStatuses(q.Get("status")); err != nil {
		badRequest(w, err.Error())
		return f, 0, false
	}
	silos := s.siloNames()
	for _, call := range s.supervisor.Traffic().Calls() { // includes silos that no longer exist
		if !slices.Contains(silos, call.To) {
			silos = append(silos, call.To)
		}
	}
	if !checkNames(w, f.Silos, silos) {
		return f, 0, false
	}
	n, ok = number(w, r, parameter, otherwise)
	return f, n, ok
}

func (s *Server) siloNames() []string {
	silos := s.supervisor.Snapshot().Silos
	names := make([]string, len(silos))
	for i, silo := range silos {
		names[i] = silo.Name
	}
	return names
}

// checkNames reports whether all names are known. If not, it responds.
func checkNames(w http.ResponseWriter, names, known []string) bool {
	for _, name := range names {
		if !slices.Contains(known, name) {
			writeError(w, &plan.UnknownSiloError{Name: name, Known: known})
			return false
		}
	}
	return true
}

// number parses a parameter that is a whole number of at least 0. If it is
// invalid, it responds and ok is false.
func number(w http.ResponseWriter, r *http.Request, name string, otherwise int) (n int, ok bool) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return otherwise, true
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		badRequest(w, name+" is not a non-negative number")
		return 0, false
	}
	return n, true
}
