// Package state holds the words of a run (phases, silos, the snapshot) and the
// directory in which one run is recorded: lock, socket path, last snapshot,
// remembered ports, secrets and logs.
//
// It must not know how a silo is started, reached or drawn: producer, carrier
// and renderer all read these words.
package state

import "time"

// SchemaVersion of Snapshot's JSON. The shape only grows.
const SchemaVersion = 1

// Phase is where one silo stands.
type Phase string

// The phases of a silo, in the order in which a healthy one passes them.
const (
	Planned  Phase = "planned"
	Starting Phase = "starting"
	Ready    Phase = "ready"
	Unready  Phase = "unready"
	Backoff  Phase = "backoff"
	Stopping Phase = "stopping"
	Stopped  Phase = "stopped"
	Failed   Phase = "failed"
)

// InstanceState is where the whole instance stands.
type InstanceState string

// The conditions of an instance.
const (
	InstanceStarting InstanceState = "starting"
	InstanceReady    InstanceState = "ready"
	InstanceDegraded InstanceState = "degraded"
	InstanceStopping InstanceState = "stopping"
	InstanceStopped  InstanceState = "stopped"
)

// TunnelState is where one silo's tunnel stands.
type TunnelState string

// The states of a tunnel.
const (
	TunnelOpening      TunnelState = "opening"
	TunnelOnline       TunnelState = "online"
	TunnelReconnecting TunnelState = "reconnecting"
	TunnelLost         TunnelState = "lost"
	TunnelNone         TunnelState = "none"
)

// Mode is what a silo runs as, in Sentry's words (sentry/silo/base.py, SiloMode).
type Mode string

// The modes of a silo.
const (
	Control  Mode = "CONTROL"
	Region   Mode = "REGION"
	Monolith Mode = "MONOLITH"
)

// Snapshot is everything that is known of an instance at one moment. It is
// immutable once published, the body of `status --json`, the wire format of the
// control socket and the file that outlives a supervisor: one struct for all.
type Snapshot struct {
	SchemaVersion int           `json:"schema_version"`
	Name          string        `json:"name"`
	State         InstanceState `json:"state"`
	PID           *int          `json:"pid"` // the supervisor's
	File          string        `json:"file"`
	StartedAt     *time.Time    `json:"started_at"`
	Provider      string        `json:"provider"`
	Dialect       string        `json:"dialect"`
	Config        Config        `json:"config"`
	Dashboard     *string       `json:"dashboard"`
	Silos         []Silo        `json:"silos"` // control first, regions by id

	Mode     string `json:"mode"`     // "silos" or "monolith"
	Managed  *bool  `json:"managed"`  // false: somebody else starts and ends the silos; null where a silo wrote it that could not tell: true
	Topology string `json:"topology"` // fingerprint of what runs: another one means that the file has changed
	Version  string `json:"version"`  // of the silo program that supervises
	Found    string `json:"found"`    // which Sentry the dialect is for, and by which marks that was told
	RunID    string `json:"run_id"`   // SILO_RUN_ID of every process of this run

	ProcessTime string `json:"process_time"` // start time of PID as the kernel gives it, to tell it from a reused one

	Reason *string `json:"reason"` // why it has stopped, where nobody told it to
}

// Config tells of the region config's file.
type Config struct {
	Path   string `json:"path"`
	InStep *bool  `json:"in_step"` // null where nobody has looked
}

// Silo is one silo of a Snapshot.
type Silo struct {
	Name       string     `json:"name"`
	Mode       Mode       `json:"mode"`
	RegionID   *int       `json:"region_id"`
	Category   *string    `json:"category"`
	State      Phase      `json:"state"`
	PID        *int       `json:"pid"` // of the process that silo started; of an unmanaged silo, of the one that answers
	Port       int        `json:"port"`
	Bind       string     `json:"bind"`
	URL        string     `json:"url"`
	Tunnel     Tunnel     `json:"tunnel"`
	StartedAt  *time.Time `json:"started_at"`
	ReadyAt    *time.Time `json:"ready_at"`
	Restarts   int        `json:"restarts"`
	Exit       *Exit      `json:"exit"`
	CPUPercent *float64   `json:"cpu_percent"` // of the whole process tree
	RSSBytes   *int64     `json:"rss_bytes"`

	Role        *string    `json:"role"`         // the mode that its answers tell, CONTROL or REGION; null where they do not, or nobody has asked
	Reason      *string    `json:"reason"`       // why it is unready, failed, or stopped though nobody told it to, or what it lacks though it is ready; one line
	TimedOut    bool       `json:"timed_out"`    // it failed because it was not ready in time
	KillAt      *time.Time `json:"kill_at"`      // when a silo that is stopping will be killed
	HealthPort  int        `json:"health_port"`  // where readiness is probed; Port+1 with watchers
	ProcessTime *string    `json:"process_time"` // start time of PID as the kernel gives it, to tell it from a reused one
	BrowseURL   *string    `json:"browse_url"`   // its address for browsers, by a name below .localhost; null but with provider local
}

// IsManaged tells whether the silos are the supervisor's to start and to end.
func (s *Snapshot) IsManaged() bool { return s.Managed == nil || *s.Managed }

// Tunnel is what gives a silo its address.
type Tunnel struct {
	State TunnelState  `json:"state"`
	Error *TunnelError `json:"error"`

	Attempt int `json:"attempt"` // which one in a row to come back is being made or waited for; 0 where none is
}

// TunnelError says why a tunnel is not online.
type TunnelError struct {
	Code string `json:"code"`
	Text string `json:"text"`
	Hint string `json:"hint"`
}

// Exit is how a silo's process ended. Exactly one of Code and Signal is set.
type Exit struct {
	Code   *int      `json:"code"`
	Signal *string   `json:"signal"` // "KILL", without SIG
	At     time.Time `json:"at"`
}
