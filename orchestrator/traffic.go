package orchestrator

import (
	"errors"
	"net"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"silo/ports"
	"silo/proc"
	"silo/state"
	"silo/traffic"
	"silo/tunnels"
)

// trafficObserver records the exchanges that pass through the tunnels, identifies callers, and
// warns about or blocks calls between regions.
type trafficObserver struct {
	log      *traffic.Log
	hub      *snapshotHub
	instance string // value of SILO_INSTANCE in its silos
	warn     func(string)

	isolation atomic.Pointer[string] // off, warn or block

	lookup sync.Mutex // held during a lookup, so that they run one at a time; guards recent
	recent []int      // PIDs of callers, the latest first

	mu     sync.Mutex // guards warned
	warned map[[2]string]bool
}

// recentCallers is the number of earlier callers that a lookup tries first.
const recentCallers = 16

func newTrafficObserver(p *placement) *trafficObserver {
	o := &trafficObserver{log: traffic.NewLog(traffic.DefaultLimit), hub: p.hub, instance: p.Dir.Key, warn: p.Warn, warned: map[[2]string]bool{}}
	o.setIsolation(p.Topology.Isolation)
	return o
}

func (o *trafficObserver) setIsolation(regions string) { o.isolation.Store(&regions) }

func (o *trafficObserver) recording() *tunnels.Recording {
	return &tunnels.Recording{
		Log: o.log, Caller: o.caller, CallerDelay: callerDelay(runtime.GOOS), Crosses: o.crosses,
		Blocks: func() bool { return *o.isolation.Load() == "block" },
	}
}

// callerDelay returns how long a response may wait for the lookup of its caller. On Linux a
// lookup takes a millisecond or two, longer on a busy machine. On macOS lsof is too slow to
// wait for.
func callerDelay(goos string) time.Duration {
	if goos == "darwin" {
		return 10 * time.Millisecond
	}
	return 250 * time.Millisecond
}

// caller identifies the process at the other end of a connection. Lookups run one at a
// time, so that many new connections do not occupy all cores.
func (o *trafficObserver) caller(local, remote net.Addr) traffic.Caller {
	o.lookup.Lock()
	defer o.lookup.Unlock()
	likely := slices.Clone(o.recent)
	for _, s := range o.hub.silos() {
		if s.PID != nil {
			likely = append(likely, *s.PID)
		}
	}
	peer, err := ports.Peer(local, remote, likely)
	if err != nil {
		return traffic.Caller{Gone: errors.Is(err, ports.ErrGone)}
	}
	o.recent = slices.Insert(slices.DeleteFunc(o.recent, func(pid int) bool { return pid == peer.PID }), 0, peer.PID)
	o.recent = o.recent[:min(len(o.recent), recentCallers)]
	caller := traffic.Caller{PID: &peer.PID, Program: &peer.Program}
	if silo := o.hub.find(siloOf(peer.PID, o.instance)); silo != nil {
		caller.Silo = &silo.Name
	}
	return caller
}

// siloOf returns the silo whose environment a process inherited, whether silo or a user
// (with `silo run`) started it, or "". It also looks at ancestors, because a process can
// clear its own environment.
func siloOf(pid int, instance string) string {
	values, marked := proc.LookupEnv(pid, "SILO_INSTANCE", "SILO_NAME")
	if !marked || values[0] != instance {
		return ""
	}
	return values[1]
}

// crosses reports whether a call goes from one region to another, and warns about the
// first one of each pair.
func (o *trafficObserver) crosses(from, to string) bool {
	isolation := *o.isolation.Load()
	if isolation == "off" || from == to || !o.isRegion(from) || !o.isRegion(to) {
		return false
	}
	o.mu.Lock()
	first := !o.warned[[2]string{from, to}]
	o.warned[[2]string{from, to}] = true
	o.mu.Unlock()
	if first {
		o.warn(crossingWarning(from, to, isolation))
	}
	return true
}

func crossingWarning(from, to, isolation string) string {
	text := "region " + from + " calls region " + to + ", which it cannot reach in production"
	if isolation == "block" {
		return text + `: refused, because isolation.regions = "block"`
	}
	return text + `: isolation.regions = "block" would refuse it`
}

func (o *trafficObserver) isRegion(name string) bool {
	s := o.hub.find(name)
	return s != nil && s.Mode == state.Region
}
