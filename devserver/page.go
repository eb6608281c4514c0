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

// page is the template of the HTML page. It is parsed on first use, because most silos
// never show it.
type page struct {
	once   sync.Once // guards parsed and err
	parsed *template.Template
	err    error
}

func (p *page) template() (*template.Template, error) {
	p.once.Do(func() { p.parsed, p.err = template.New("page").Parse(pageText) })
	return p.parsed, p.err
}

// view is the data of the page.
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
	Href     template.URL // Address, if it is a web address
	Here     bool
	Callable bool
}

// variable is one environment variable.
type variable struct{ Name, Value string }

// home serves the page for all paths without a route.
func (s *server) home(w http.ResponseWriter, r *http.Request) {
	parsed, err := s.page.template()
	if err != nil {
		http.Error(w, "parse page: "+err.Error(), http.StatusInternalServerError)
		return
	}
	conf := s.conf.current.Load()
	v := view{Self: s.whoami(), IsRegion: s.id.isRegion(), Path: r.URL.Path, Silos: s.neighbours(conf), Env: s.environment(conf)}
	if mine, found := conf.find(s.id.region); found && v.IsRegion {
		v.ID, v.Category = *mine.ID, mine.Category
	}
	htmlHeader(w)
	_ = parsed.Execute(w, v) // fails only if the client has disconnected
}

// htmlHeader allows inline styles only.
func htmlHeader(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
}

// neighbours returns all silos of the region config, control first.
func (s *server) neighbours(conf *config) []neighbour {
	var all []neighbour
	if conf.control != "" {
		all = append(all, neighbour{
			Name: controlName, Mode: modeControl, Address: conf.control,
			Here: s.id.mode == modeControl, Callable: s.id.isRegion(),
		})
	}
	for _, r := range conf.regions {
		all = append(all, neighbour{
			Name: r.Name, Mode: modeRegion, ID: *r.ID, Category: r.Category, Address: r.Address,
			Here: r.Name == s.id.region, Callable: s.id.mode == modeControl,
		})
	}
	for i := range all {
		all[i].Address, all[i].Href = link(all[i].Address)
	}
	return all
}

// link returns an address without its password, and a link if it is a web address.
func link(address string) (shown string, href template.URL) {
	parsed, err := url.Parse(address)
	if err != nil || parsed.Host == "" || parsed.Scheme != "http" && parsed.Scheme != "https" {
		return address, ""
	}
	return parsed.Redacted(), template.URL(parsed.Redacted() + "/") //nolint:gosec // the scheme is http or https, and html/template still escapes it for the attribute
}

// environment returns the silo's variables that are not secret.
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

// urlVariable returns the name of the variable that holds a silo's address.
func urlVariable(silo string) string {
	return "SILO_URL_" + strings.ToUpper(strings.ReplaceAll(silo, "-", "_"))
}

// login serves the page at Sentry's login URL.
func (s *server) login(w http.ResponseWriter) {
	htmlHeader(w)
	_, _ = w.Write([]byte(`<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">` +
		`<meta name="color-scheme" content="light dark"><title>Sign in</title><body><main><h1>No sign-in needed here</h1>` +
		`<p>This is a stand-in for Sentry. <a href="/">Show this silo.</a></p></main>`))
}
