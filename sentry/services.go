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

// Services are what a Sentry's settings name, and how it answered to Sentry's own
// clients. Nothing in it is secret.
type Services struct {
	Python    string    `json:"python"` // the version of Sentry's interpreter
	Honcho    bool      `json:"honcho"` // it can be imported, which devserver's workers and watchers need
	Error     string    `json:"error"`  // why the settings do not load; empty: they do
	Line      int       `json:"line"`   // of sentry.conf.py where that came up; 0: elsewhere
	Seconds   float64   `json:"seconds"`
	Databases []Service `json:"databases"`
	Redis     []Service `json:"redis"`
	Brokers   []Service `json:"brokers"` // of celery's tasks
	Watchers  []Watcher `json:"watchers"`
	Node      string    `json:"node"` // the program; empty: there is none
}

// Service is one server that the settings name.
type Service struct {
	Name      string  `json:"name"` // the database's alias, or the cluster's
	Kind      string  `json:"kind"` // postgres, redis, amqp, …
	Host      string  `json:"host"` // or the path of a unix socket
	Port      int     `json:"port"`
	Database  string  `json:"database"`
	User      string  `json:"user"`
	Version   string  `json:"version"`  // of the server; empty where it did not answer
	Error     string  `json:"error"`    // what the client said; empty: it answered
	Migrated  bool    `json:"migrated"` // the database has been through `sentry upgrade`
	Pending   int     `json:"behind"`   // how many of Sentry's migrations came after it
	Used      bool    `json:"used"`     // a setting names the cluster
	Clustered bool    `json:"whole"`    // it is one of several nodes of a Redis Cluster
	Seconds   float64 `json:"seconds"`
}

// Watcher is what devserver runs beside itself with watchers (SENTRY_WATCHERS).
type Watcher struct {
	Name    string `json:"name"`
	Program string `json:"program"`
	Found   bool   `json:"there"`
}

// Failure is why a service did not answer.
type Failure string

// The troubles that have a mend of their own.
const (
	Refused      Failure = "refused"       // nobody listens
	Unresolved   Failure = "unresolved"    // its host has no address
	TimedOut     Failure = "silent"        // nobody answers in time
	NoDatabase   Failure = "no database"   // the server has none of that name
	NoRole       Failure = "no role"       // the server has no such user
	Unauthorized Failure = "not permitted" // the password is wrong or missing
	OtherFailure Failure = "other"
)

// Failure reads it out of what the client said, in the C locale's words: libpq's
// and the server's for Postgres, redis-py's for Redis. Empty: there is none.
func (s Service) Failure() Failure {
	if s.Error == "" {
		return ""
	}
	said := strings.ToLower(s.Error)
	for _, known := range []struct {
		trouble Failure
		words   []string
	}{
		{NoDatabase, []string{"database \"" + strings.ToLower(s.Database) + "\" does not exist", "db index is out of range"}},
		{NoRole, []string{"role \"" + strings.ToLower(s.User) + "\" does not exist"}},
		{Unauthorized, []string{"authentication failed", "no password supplied", "no pg_hba.conf entry", "noauth", "wrongpass", "authentication required", "invalid password"}},
		{Unresolved, []string{"could not translate host name", "name or service not known", "nodename nor servname", "name resolution", "no address associated"}},
		{Refused, []string{"connection refused", "no such file or directory"}},
		{TimedOut, []string{"timeout", "timed out"}},
	} {
		if slices.ContainsFunc(known.words, func(word string) bool { return strings.Contains(said, word) }) {
			return known.trouble
		}
	}
	return OtherFailure
}

// Local tells whether the service is to run on this machine.
func (s Service) Local() bool {
	if s.Host == "" || strings.HasPrefix(s.Host, "/") || s.Host == "localhost" {
		return true
	}
	ip := net.ParseIP(s.Host)
	return ip != nil && ip.IsLoopback()
}

// Address is "127.0.0.1:5432", or the path of a socket.
func (s Service) Address() string {
	switch {
	case s.Host == "":
		return "its unix socket (port " + strconv.Itoa(s.Port) + ")"
	case strings.HasPrefix(s.Host, "/"):
		return s.Host
	}
	return net.JoinHostPort(s.Host, strconv.Itoa(s.Port))
}

// ServicesArgv is a command line that asks the Sentry of an interpreter for its
// Services, on standard output; ParseServices reads the answer. It is to be run in
// a silo's environment. It changes nothing and takes a second or more: settings
// are a program. Each service is waited for 4 s at most.
func ServicesArgv(python string) []string {
	return []string{python, "-c", templates.Text("python/services.py")}
}

// ParseServices reads what the command line of ServicesArgv has printed.
func ParseServices(printed []byte) (Services, error) {
	var s Services
	if err := json.NewDecoder(bytes.NewReader(printed)).Decode(&s); err != nil {
		return Services{}, fmt.Errorf("read what Sentry says of its services: %w", err)
	}
	return s, nil
}

// ServicesUp is the command that starts Postgres and Redis for development:
// `devservices up` where the checkout that holds dir, or the release, is made for
// it (from December 2024 on, getsentry/sentry pull requests 81898 and 100552), else
// `sentry devservices up`.
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
