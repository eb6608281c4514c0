// Package topology turns the bytes of a silo.toml into a validated Topology, or
// into every problem that they have, each with its position.
//
// It knows the words of the file and nothing of how they are carried out.
package topology

import "time"

// Topology is what the user wrote, merged, expanded, validated and with every
// default filled in. It holds no address and no port that was not written or a
// default.
type Topology struct {
	File      string // absolute path of the topology file
	Dir       string // the directory of File
	Name      string // a DNS label
	Sentry    Sentry
	Tunnels   Tunnels
	Isolation string // what a request from one region to another is met with: off, warn or block
	Logs      Logs
	Control   Silo
	Regions   []Silo    // by ascending id
	Warnings  []Problem // what is worth a word but does not refuse the file
}

// Sentry is the [sentry] table.
type Sentry struct {
	Dir       string // absolute
	Command   []string
	Config    string // absolute path of the sentry.conf.py (a file, never a directory)
	Dialect   string // auto, a release with all three parts ("22.10.0"), or a dialect's name
	Addresses string // public, loopback or auto
	Databases string // shared or per-silo
	Managed   bool
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
	Authtoken  string // empty where the file has none; never printed
	ServerAddr string // host:port, or empty for the SDK's
	RootCAs    string // absolute path of a PEM file, or empty for the SDK's
	Metadata   string
}

// Logs is the [logs] table.
type Logs struct {
	Max  int64 // bytes of one raw file
	Keep int   // files a silo
}

// Silo is [control] or one [region.NAME], with what [sentry] gives all of them
// already filled in.
type Silo struct {
	Name     string // control, or the region's name
	ID       int    // 1..4095 for a region, 0 for control
	Category string // MULTI_TENANT or SINGLE_TENANT for a region, empty for control

	Port      int  // the written port, or the preferred one; 0 for any free one
	PortFixed bool // the port was written and is not 0: kept, or a conflict
	Watchers  bool // takes Port and Port+1

	Domain        string // effective: own domain, or derived from tunnels.domain; lower case; may be empty
	URL           string // provider external: the address itself, never empty, of Domain where none was written
	HostHeader    string // preserve, rewrite, or a host
	BasicAuth     []string
	AllowCIDRs    []string
	TrafficPolicy string // the policy's text, already read where a file was named

	Dir     string            // absolute
	Command []string          // argv, as written
	Env     map[string]string // the silo's own, never nil; sentry.env is kept apart
	TTY     bool              // it writes to a terminal of its own

	Ready   Ready
	Restart Restart
	Stop    Stop
}

// IsControl tells control from a region.
func (s Silo) IsControl() bool { return s.ID == 0 }

// Ready says when a silo counts as ready.
type Ready struct {
	Off      bool // ready = false: ready once started
	Path     string
	Status   int
	Timeout  time.Duration
	Interval time.Duration // of the first probes; later ones are rarer
}

// Restart is what happens when a silo's process ends by itself.
type Restart struct {
	Policy     string // no, on-failure or always
	Max        int    // restarts within Window before the silo is failed
	Backoff    time.Duration
	BackoffMax time.Duration
	Window     time.Duration
}

// Stop is how a silo is ended.
type Stop struct {
	Signal string // without SIG: TERM, INT, …
	Grace  time.Duration
}

// Silos are all silos: control first, then the regions by id.
func (t *Topology) Silos() []Silo {
	return append([]Silo{t.Control}, t.Regions...)
}
