package sentry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"silo/templates"
	"silo/topology"
)

// Services are the servers in a Sentry's settings, with the results of connecting to
// them with Sentry's own clients. They contain no secrets.
type Services struct {
	Python  string  `json:"python"` // version of Sentry's interpreter
	Honcho  bool    `json:"honcho"` // can be imported; devserver needs it for workers and watchers
	Error   string  `json:"error"`  // why the settings cannot be loaded, or empty
	Line    int     `json:"line"`   // of the error in sentry.conf.py; 0: elsewhere
	Seconds float64 `json:"seconds"`
	// Unknown is why silo cannot load the settings of this release, which Sentry's own programs
	// can load.
	Unknown string `json:"unknown"`
	// FromText reports that the services were read from the text of the files, because the
	// settings were not loaded. Unreadable is why even that failed.
	FromText   bool      `json:"text"`
	Unreadable string    `json:"unreadable"`
	Databases  []Service `json:"databases"`
	Redis      []Service `json:"redis"`
	Brokers    []Service `json:"brokers"` // of Celery tasks
	Watchers   []Watcher `json:"watchers"`
	Node       string    `json:"node"` // path of the program, or empty
}

// Service is one server in the settings.
type Service struct {
	Name      string  `json:"name"` // alias of the database or the cluster
	Kind      string  `json:"kind"` // postgres, redis, amqp, …
	Host      string  `json:"host"` // host name, or the path of a unix socket
	Port      int     `json:"port"`
	Database  string  `json:"database"`
	User      string  `json:"user"`
	Version   string  `json:"version"`  // of the server; empty if it did not answer
	Error     string  `json:"error"`    // the error of the client; empty: it answered
	Migrated  bool    `json:"migrated"` // `sentry upgrade` has been run on the database
	Pending   int     `json:"behind"`   // number of migrations that have not been applied
	Used      bool    `json:"used"`     // a setting names the cluster
	Clustered bool    `json:"whole"`    // a node of a Redis Cluster
	Seconds   float64 `json:"seconds"`
}

// Watcher is a program that devserver starts with watchers (SENTRY_WATCHERS).
type Watcher struct {
	Name    string `json:"name"`
	Program string `json:"program"`
	Found   bool   `json:"there"`
}

// Failure classifies why a service did not answer.
type Failure string

// The failures for which silo suggests different fixes.
const (
	Refused      Failure = "refused"       // no listener
	Unresolved   Failure = "unresolved"    // its host name does not resolve
	TimedOut     Failure = "silent"        // timeout
	NoDatabase   Failure = "no database"   // the server has no such database
	NoRole       Failure = "no role"       // the server has no such user
	Unauthorized Failure = "not permitted" // the password is wrong or missing
	OtherFailure Failure = "other"
)

// Failure classifies Error, which must be in the C locale: messages of libpq and of
// the server for Postgres, of redis-py for Redis. It returns "" if Error is empty.
func (s Service) Failure() Failure {
	if s.Error == "" {
		return ""
	}
	text := strings.ToLower(s.Error)
	for _, known := range []struct {
		failure Failure
		words   []string
	}{
		{NoDatabase, []string{"database \"" + strings.ToLower(s.Database) + "\" does not exist", "db index is out of range"}},
		{NoRole, []string{"role \"" + strings.ToLower(s.User) + "\" does not exist"}},
		{Unauthorized, []string{"authentication failed", "no password supplied", "no pg_hba.conf entry", "noauth", "wrongpass", "authentication required", "invalid password"}},
		{Unresolved, []string{"could not translate host name", "name or service not known", "nodename nor servname", "name resolution", "no address associated"}},
		{Refused, []string{"connection refused", "no such file or directory"}},
		{TimedOut, []string{"timeout", "timed out"}},
	} {
		if slices.ContainsFunc(known.words, func(word string) bool { return strings.Contains(text, word) }) {
			return known.failure
		}
	}
	return OtherFailure
}

// Local reports whether the host of the service is this machine.
func (s Service) Local() bool {
	if s.Host == "" || strings.HasPrefix(s.Host, "/") || s.Host == "localhost" {
		return true
	}
	ip := net.ParseIP(s.Host)
	return ip != nil && ip.IsLoopback()
}

// Address returns host:port ("127.0.0.1:5432") or the path of a socket.
func (s Service) Address() string {
	switch {
	case s.Host == "":
		return "its unix socket (port " + strconv.Itoa(s.Port) + ")"
	case strings.HasPrefix(s.Host, "/"):
		return s.Host
	}
	return net.JoinHostPort(s.Host, strconv.Itoa(s.Port))
}

// ServicesArgv returns the command that prints the Services of an interpreter's
// Sentry; ParseServices parses its output. It must run in a silo's environment. It
// changes nothing, and takes a second or more to execute the settings. It waits at most
// 4 s for all services. If the settings do not load, it reads the text of the files.
func ServicesArgv(python string) []string {
	return []string{python, "-c", templates.Text("python/services.py")}
}

// ServicesTextArgv is ServicesArgv without executing the settings.
func ServicesTextArgv(python string) []string {
	return append(ServicesArgv(python), "text")
}

// ParseServices parses the output of ServicesArgv's command.
func ParseServices(output []byte) (Services, error) {
	var s Services
	if err := json.NewDecoder(bytes.NewReader(output)).Decode(&s); err != nil {
		return Services{}, fmt.Errorf("parse the services from Sentry's Python: %w", err)
	}
	return s, nil
}

// ServicesUp returns the command that starts Postgres and Redis for development:
// `devservices up` if the checkout around dir or the release supports it (from
// December 2024 on, getsentry/sentry pull requests 81898 and 100552), else `sentry
// devservices up`.
func (c Choice) ServicesUp(dir string) string {
	if root, ok := Checkout(dir); ok {
		if _, err := os.Stat(filepath.Join(root, "devservices", "config.yml")); err == nil {
			return "devservices up"
		}
	}
	r, err := topology.ParseRelease(c.Release)
	if err != nil {
		r = c.Dialect.First
	}
	if r.Compare(Release{Year: 24, Month: 12}) >= 0 {
		return "devservices up"
	}
	return "sentry devservices up"
}
