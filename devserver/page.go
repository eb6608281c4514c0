package devserver

import (
	_ "embed"
	"html/template"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
)

//go:embed page.html
var pageText string

// page is the template of what people see. It is parsed when somebody first
// looks: most silos are never looked at.
type page struct {
	once   sync.Once // guards parsed and err
	parsed *template.Template
	err    error
}

func (p *page) template() (*template.Template, error) {
	p.once.Do(func() { p.parsed, p.err = template.New("page").Parse(pageText) })
	return p.parsed, p.err
}

// view is what the page shows.
type view struct {
	Self     self
	IsRegion bool
	ID       int
	Category string
	Path     string
	Silos    []neighbour
	Env      []variable
}

// neighbour is one silo of the region config.
type neighbour struct {
	Name     string
	Mode     string
	ID       int // 0: control
	Category string
	Address  string
	Href     template.URL // Address, where it can be followed
	Here     bool
	Callable bool
}

// variable is one of the environment's.
type variable struct{ Name, Value string }

// home is the page of every path that has no other answer.
func (s *server) home(w http.ResponseWriter, r *http.Request) {
	parsed, err := s.page.template()
	if err != nil {
		http.Error(w, "parse page: "+err.Error(), http.StatusInternalServerError)
		return
	}
	conf := s.conf.current.Load()
	v := view{Self: s.whoami(), IsRegion: s.who.isRegion(), Path: r.URL.Path, Silos: s.neighbours(conf), Env: s.environment(conf)}
	if mine, found := conf.find(s.who.region); found && v.IsRegion {
		v.ID, v.Category = mine.ID, mine.Category
	}
	htmlHeader(w)
	_ = parsed.Execute(w, v) // whoever asked has gone, or sees where it breaks off
}

// htmlHeader allows a page its own style, and nothing from anywhere.
func htmlHeader(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
}

// neighbours are all silos that the region config names, control first.
func (s *server) neighbours(conf *config) []neighbour {
	var all []neighbour
	if conf.control != "" {
		all = append(all, neighbour{
			Name: controlName, Mode: modeControl, Address: conf.control,
			Here: s.who.mode == modeControl, Callable: s.who.isRegion(),
		})
	}
	for _, r := range conf.regions {
		all = append(all, neighbour{
			Name: r.Name, Mode: modeRegion, ID: r.ID, Category: r.Category, Address: r.Address,
			Here: r.Name == s.who.region, Callable: s.who.mode == modeControl,
		})
	}
	for i := range all {
		all[i].Address, all[i].Href = link(all[i].Address)
	}
	return all
}

// link is an address fit to be shown, and to be followed where it is a web
// address. A password never leaves the config.
func link(address string) (shown string, href template.URL) {
	parsed, err := url.Parse(address)
	if err != nil || parsed.Host == "" || parsed.Scheme != "http" && parsed.Scheme != "https" {
		return address, ""
	}
	return parsed.Redacted(), template.URL(parsed.Redacted() + "/") //nolint:gosec // the scheme is http or https, and html/template still escapes it for the attribute
}

// environment is what the silo was told, as far as it is no secret.
func (s *server) environment(conf *config) []variable {
	wanted := []string{
		"SENTRY_SILO_MODE", "SENTRY_REGION", "SENTRY_LOCAL_CELL", "SENTRY_DEVSERVER_BIND", "SENTRY_CONF",
		"SILO_NAME", "SILO_INSTANCE", "SILO_RUN_ID", urlVariable(controlName),
	}
	for _, r := range conf.regions {
		wanted = append(wanted, urlVariable(r.Name))
	}
	var all []variable
	for _, name := range wanted {
		if value, set := s.env(name); set {
			if strings.HasPrefix(name, "SILO_URL_") {
				value, _ = link(value)
			}
			all = append(all, variable{name, value})
		}
	}
	dir, err := os.Getwd()
	if err == nil {
		all = append(all, variable{"working directory", dir})
	}
	return all
}

// urlVariable is the variable that holds a silo's address.
func urlVariable(silo string) string {
	return "SILO_URL_" + strings.ToUpper(strings.ReplaceAll(silo, "-", "_"))
}

// login stands where people sign in.
func (s *server) login(w http.ResponseWriter) {
	htmlHeader(w)
	_, _ = w.Write([]byte(`<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">` +
		`<meta name="color-scheme" content="light dark"><title>Sign in</title><body><main><h1>Nobody needs to sign in here</h1>` +
		`<p>This is a stand-in for Sentry. <a href="/">Which silo is it?</a></p></main>`))
}
