// Package state defines the snapshot of an instance, and the directory that records it:
// lock, socket path, last snapshot, saved ports, secrets and logs.
//
// It must not know how silos are started, reached or displayed.
package state

import "time"

// SchemaVersion is the version of Snapshot's JSON, to which fields are only added.
const SchemaVersion = 1

// Phase is the state of one silo.
type Phase string

// The phases of a silo.
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

// InstanceState is the state of a whole instance.
type InstanceState string

// The states of an instance.
const (
	InstanceStarting InstanceState = "starting"
	InstanceReady    InstanceState = "ready"
	InstanceDegraded InstanceState = "degraded"
	InstanceStopping InstanceState = "stopping"
	InstanceStopped  InstanceState = "stopped"
)

// TunnelState is the state of one silo's tunnel.
type TunnelState string

// The states of a tunnel.
const (
	TunnelOpening      TunnelState = "opening"
	TunnelOnline       TunnelState = "online"
	TunnelReconnecting TunnelState = "reconnecting"
	TunnelLost         TunnelState = "lost"
	TunnelNone         TunnelState = "none"
)

// Mode is Sentry's SiloMode (sentry/silo/base.py).
type Mode string

// The modes of a silo.
const (
	Control  Mode = "CONTROL"
	Region   Mode = "REGION"
	Monolith Mode = "MONOLITH"
)

// Snapshot is the state of an instance at one moment. It is the output of `status --json`,
// the format on the control socket, and the content of the file that outlives the
// supervisor. It is immutable once published.
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
	Silos         []Silo        `json:"silos"` // control, then regions by ID

	Mode     string `json:"mode"`     // "silos" or "monolith"
	Managed  *bool  `json:"managed"`  // false: the user starts and stops all silos; null (written by an old silo) means true
	Topology string `json:"topology"` // fingerprint of the topology that runs
	Version  string `json:"version"`  // of the supervisor's program
	Found    string `json:"found"`    // the Sentry release that the dialect is for, and how it was detected
	RunID    string `json:"run_id"`   // SILO_RUN_ID of every process of this run

	ProcessTime string `json:"process_time"` // start time of PID, as reported by the kernel; detects a reused PID

	Reason *string `json:"reason"` // why it stopped without a command
}

// Config describes the region config's file.
type Config struct {
	Path   string `json:"path"`
	InStep *bool  `json:"in_step"` // null if not checked
}

// Silo is one silo of a Snapshot.
type Silo struct {
	Name       string     `json:"name"`
	Mode       Mode       `json:"mode"`
	RegionID   *int       `json:"region_id"`
	Category   *string    `json:"category"`
	State      Phase      `json:"state"`
	PID        *int       `json:"pid"` // of the process that silo started; for an unmanaged silo, of the one that answers
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

	Managed     *bool      `json:"managed"`      // false: the user starts and stops it; null (written by an old silo) means as the instance
	Debug       bool       `json:"debug"`        // silo debug runs it
	Role        *string    `json:"role"`         // mode that its answers prove, CONTROL or REGION; null if unknown
	Reason      *string    `json:"reason"`       // why it is unready, failed or exited on its own, or the problem of a ready silo; one line
	TimedOut    bool       `json:"timed_out"`    // it was not ready in time: failed, or unready and no longer probed
	KillAt      *time.Time `json:"kill_at"`      // when a silo that is stopping will be killed
	HealthPort  int        `json:"health_port"`  // the port that probes use; Port+1 with watchers
	ProcessTime *string    `json:"process_time"` // start time of PID, as reported by the kernel; detects a reused PID
	BrowseURL   *string    `json:"browse_url"`   // address for browsers, below .localhost; only with provider local
}

// Manages reports whether the supervisor starts and stops a silo.
func (s *Snapshot) Manages(silo Silo) bool {
	if silo.Managed != nil {
		return *silo.Managed
	}
	return s.Managed == nil || *s.Managed
}

// Tunnel gives a silo its address.
type Tunnel struct {
	State TunnelState  `json:"state"`
	Error *TunnelError `json:"error"`

	Attempt int `json:"attempt"` // number of the current attempt to reconnect, or 0
}

// TunnelError explains why a tunnel is not online.
type TunnelError struct {
	Code string `json:"code"`
	Text string `json:"text"`
	Hint string `json:"hint"`
}

// Exit describes how a silo's process ended. Exactly one of Code and Signal is set.
type Exit struct {
	Code   *int      `json:"code"`
	Signal *string   `json:"signal"` // "KILL", without SIG
	At     time.Time `json:"at"`
}
