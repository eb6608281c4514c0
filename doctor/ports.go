package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"silo/ports"
	"silo/state"
	"silo/topology"
)

// checkPorts reserves each silo's port and releases it at once.
func checkPorts(ctx context.Context, e *examination, c *Check) {
	_, _ = e.block() // it reserves the same ports, so it must finish first
	running, remembered := false, map[string]int{}
	if e.Instance != nil {
		running, remembered = e.Instance.Running(), e.Instance.Ports()
	}
	var free []string
	for _, s := range e.Topology.Silos() {
		port := s.Port
		if last := remembered[s.Name]; last != 0 && !s.PortFixed {
			port = last
		}
		if port == 0 {
			free = append(free, "any ("+s.Name+")")
			continue
		}
		want := ports.Request{Name: s.Name, Port: port, Fixed: true, Span: 1}
		label := fmt.Sprintf("%d (%s)", port, s.Name)
		if s.Watchers {
			want.Span, label = 2, fmt.Sprintf("%d and %d (%s)", port, port+1, s.Name)
		}
		held, err := ports.Reserve(ctx, []ports.Request{want})
		var conflicts ports.Conflicts
		switch {
		case err == nil:
			_ = held.Close() // an error here does not matter
			free = append(free, label)
		case !errors.As(err, &conflicts):
			c.add(Fail, err.Error(), "change port of "+s.Name+" in silo.toml")
		case running && e.ownsPort(s.Name, port):
			c.add(OK, label+": used by this instance, which runs")
		case !s.Managed:
			c.add(OK, conflicts.Error()+"; managed = false, so you start the devserver yourself")
		default:
			e.addConflicts(s, conflicts, c)
		}
	}
	if len(free) > 0 {
		c.add(OK, "free: "+strings.Join(free, ", "))
	}
}

// ownsPort reports whether the instance recorded the port for that silo.
func (e *examination) ownsPort(name string, port int) bool {
	last, err := e.Instance.Last()
	return err == nil && slices.ContainsFunc(last.Silos, func(s state.Silo) bool { return s.Name == name && s.Port == port })
}

func (e *examination) addConflicts(s topology.Silo, conflicts ports.Conflicts, c *Check) {
	for _, conflict := range conflicts {
		fix := "find the process that uses the port; it may belong to another user"
		if holder := conflict.Holder; holder != nil {
			fix = fmt.Sprintf("kill %d, to stop %s", holder.PID, strings.TrimSpace(holder.Args))
			// A silo of another instance would be restarted if it were killed.
			if other, ok := state.FindByPort(e.Env, holder.PID, conflict.Port); ok {
				fix = "silo -f " + other.File + " down, to stop " + other.Name
			}
		}
		if s.PortFixed {
			c.add(Fail, conflict.String(), fix, "or change port of "+s.Name+" in silo.toml")
		} else {
			c.add(Warn, conflict.String()+"; silo will choose another one", fix)
		}
	}
}
