// Package topology reads a silo.toml into a validated Topology, or returns every
// problem of the file with its position.
//
// It knows the format of the file, but not how the rest of silo uses it.
package topology

import "time"

// Topology is the content of the topology file: merged with the local file, expanded,
// validated and completed with every default. Ports and addresses are those in the file,
// or defaults.
type Topology struct {
	File      string // absolute path of the topology file
	Dir       string // the directory of File
	Name      string // a DNS label
	Sentry    Sentry
	Tunnels   Tunnels
	Isolation string // action on a request from one region to another: off, warn or block
	Logs      Logs
	Control   Silo
	Regions   []Silo    // by ascending id
	Warnings  []Problem // problems that do not make the file invalid
}

// Sentry is the [sentry] table.
type Sentry struct {
	Dir       string // absolute
	Command   []string
	Config    string            // absolute path of the sentry.conf.py (a file, never a directory)
	Dialect   string            // auto, a release with all three parts ("22.10.0"), or a dialect's name
	Addresses string            // public, loopback or auto
	Databases string            // shared or per-silo
	Env       map[string]string // never nil
}

// Tunnels is the [tunnels] table.
type Tunnels struct {
	Provider string // local, ngrok, external or none
	Domain   string
	Ngrok    Ngrok
}

// Ngrok is the [tunnels.ngrok] table.
type Ngrok struct {
	Authtoken  string // may be empty; never printed
	ServerAddr string // host:port, or empty for the SDK's
	RootCAs    string // absolute path of a PEM file, or empty for the SDK's
	Metadata   string
}

// Logs is the [logs] table.
type Logs struct {
	Max  int64 // bytes of one raw file
	Keep int   // number of files for each silo
}

// Silo is [control] or one [region.NAME], with the values of [sentry] and the
// defaults filled in.
type Silo struct {
	Name     string // control, or the region's name
	ID       int    // 1..4095 for a region, 0 for control
	Category string // MULTI_TENANT or SINGLE_TENANT for a region, empty for control

	Port      int  // the port in the file or the default; 0 for any free port
	PortFixed bool // the file sets the port, other than 0: if it is taken, Reserve fails
	Watchers  bool // the devserver listens on Port and Port+1

	Domain        string // its own domain, or derived from tunnels.domain; lower case; may be empty
	URL           string // the address with provider external, by default derived from Domain; else empty
	HostHeader    string // preserve, rewrite, or a host
	BasicAuth     []string
	AllowCIDRs    []string
	TrafficPolicy string // the text of the policy, even if the topology names its file

	Dir     string            // absolute
	Command []string          // argv, as in the file
	Env     map[string]string // the silo's own variables without those of sentry.env; never nil
	TTY     bool              // it writes to a pseudo-terminal
	Managed bool              // false: the user starts and stops it

	Ready   Ready
	Restart Restart
	Stop    Stop
}

// IsControl reports whether the silo is control and not a region.
func (s Silo) IsControl() bool { return s.ID == 0 }

// Ready configures the readiness probe of a silo.
type Ready struct {
	Off      bool // ready = false: ready once started
	Path     string
	Status   int
	Timeout  time.Duration
	Interval time.Duration // between the first probes; later ones are less frequent
}

// Restart configures what happens when the process of a silo exits.
type Restart struct {
	Policy     string // no, on-failure or always
	Max        int    // restarts within Window before the silo counts as failed
	Backoff    time.Duration
	BackoffMax time.Duration
	Window     time.Duration
}

// Stop configures how a silo is stopped.
type Stop struct {
	Signal string // without SIG: TERM, INT, …
	Grace  time.Duration
}

// Silos returns all silos: control first, then the regions by id.
func (t *Topology) Silos() []Silo {
	return append([]Silo{t.Control}, t.Regions...)
}
