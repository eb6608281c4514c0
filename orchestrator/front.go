package orchestrator

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"

	"silo/ports"
)

// openFront serves the port that routes by host, where it has just been reserved.
func (p *Placement) openFront(ctx context.Context, reserved *ports.Reservation) error {
	port := reserved.Port(frontPort)
	if p.front == nil || port == 0 {
		return nil
	}
	listeners, err := reserved.Listeners(frontPort)
	if err != nil {
		return fmt.Errorf("hand over the port for browsers: %w", err)
	}
	p.frontAt = port
	p.front.Serve(ctx, listeners, func(err error) { p.Warn("browsers find silos by name no more: " + err.Error()) })
	return nil
}

// browseHost is the name by which browsers find a silo. They resolve it to loopback
// without asking anybody (RFC 6761, section 6.3); Python does not.
func (p *Placement) browseHost(silo string, control bool) string {
	host := p.Topology.Name + ".localhost"
	if !control {
		host = silo + "." + host
	}
	return strings.ToLower(host)
}

// browseURL is a silo's address for browsers, empty where there is none.
func (p *Placement) browseURL(s Planned) string {
	if p.frontAt == 0 {
		return ""
	}
	return "http://" + net.JoinHostPort(p.browseHost(s.Name, s.IsControl()), strconv.Itoa(p.frontAt))
}
