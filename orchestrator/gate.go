package orchestrator

import (
	"errors"
	"net"
	"slices"
	"sync"
	"sync/atomic"

	"silo/ports"
	"silo/proc"
	"silo/state"
	"silo/traffic"
	"silo/tunnels"
)

// gate is where what passes the tunnels is seen: it keeps it, tells who calls, and
// keeps regions apart.
type gate struct {
	log   *traffic.Log
	board *board
	key   string       // the instance's, as its silos have it in SILO_INSTANCE
	warn  func(string) // takes what a user should know

	isolation atomic.Pointer[string] // off, warn or block

	looking sync.Mutex // held while one peer is looked for: the next one waits; guards met
	met     []int      // processes that have called, the latest first

	mu     sync.Mutex // guards warned
	warned map[[2]string]bool
}

// manyMet is how many processes that have called are looked at before all others.
const manyMet = 16

func newGate(p *Placement) *gate {
	g := &gate{log: traffic.NewLog(traffic.DefaultLimit), board: p.board, key: p.Dir.Key, warn: p.Warn, warned: map[[2]string]bool{}}
	g.isolate(p.Topology.Isolation)
	return g
}

func (g *gate) isolate(regions string) { g.isolation.Store(&regions) }

func (g *gate) recording() *tunnels.Recording {
	return &tunnels.Recording{
		Log: g.log, Caller: g.caller, Crosses: g.crosses,
		Blocks: func() bool { return *g.isolation.Load() == "block" },
	}
}

// silos are those of the latest snapshot; none before the first.
func (g *gate) silos() []state.Silo {
	if s := g.board.latest.Load().snapshot; s != nil {
		return s.Silos
	}
	return nil
}

// caller tells who is at the far end of a connection: one look at a time, so that a
// crowd of connections does not take the machine from those that they are for.
func (g *gate) caller(local, remote net.Addr) traffic.Caller {
	g.looking.Lock()
	defer g.looking.Unlock()
	peer, err := ports.Peer(local, remote, slices.Concat(g.met, g.leaders()))
	if err != nil {
		return traffic.Caller{Gone: errors.Is(err, ports.ErrGone)}
	}
	g.met = slices.Insert(slices.DeleteFunc(g.met, func(pid int) bool { return pid == peer.PID }), 0, peer.PID)
	g.met = g.met[:min(len(g.met), manyMet)]
	return traffic.Caller{Silo: g.siloOf(peer.PID), PID: &peer.PID, Program: &peer.Program}
}

// leaders are the processes of the silos that run.
func (g *gate) leaders() []int {
	var pids []int
	for _, s := range g.silos() {
		if s.PID != nil {
			pids = append(pids, *s.PID)
		}
	}
	return pids
}

// siloOf is the silo in whose environment a process was started, by this program or
// by hand (silo run); nil where there is none. What has cleared its environment is
// known by its ancestors'.
func (g *gate) siloOf(pid int) *string {
	values, marked := proc.LookupEnv(pid, "SILO_INSTANCE", "SILO_NAME")
	if !marked || values[0] != g.key {
		return nil
	}
	for _, s := range g.silos() {
		if s.Name == values[1] {
			return &s.Name
		}
	}
	return nil
}

// crosses tells whether a call leads from one region to another, and warns of the
// first of each pair.
func (g *gate) crosses(from, to string) bool {
	if *g.isolation.Load() == "off" || from == to || !g.isRegion(from) || !g.isRegion(to) {
		return false
	}
	g.mu.Lock()
	first := !g.warned[[2]string{from, to}]
	g.warned[[2]string{from, to}] = true
	g.mu.Unlock()
	if first {
		g.warn(crossing(from, to, *g.isolation.Load()))
	}
	return true
}

func crossing(from, to, isolation string) string {
	text := "region " + from + " calls region " + to + ", which in production it cannot reach"
	if isolation == "block" {
		return text + ": refused, as isolation.regions says"
	}
	return text + `: isolation.regions = "block" would refuse it`
}

func (g *gate) isRegion(name string) bool {
	return slices.ContainsFunc(g.silos(), func(s state.Silo) bool { return s.Name == name && s.Mode == state.Region })
}
