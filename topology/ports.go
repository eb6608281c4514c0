package topology

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
)

// span is the range of ports that a silo uses.
func (s *Silo) span() []int {
	if s.Watchers {
		return []int{s.Port, s.Port + 1}
	}
	return []int{s.Port}
}

// portText names the ports of span.
func (s *Silo) portText() string {
	if s.Watchers {
		return fmt.Sprintf("%d and %d", s.Port, s.Port+1)
	}
	return strconv.Itoa(s.Port)
}

const (
	firstPort = 8000 // of control; each region's is portStep above the previous one
	portStep  = 2    // room for a devserver and its watchers
	lastPort  = 65535
)

// preferPort gives a silo the port in the file, or the default for silo i, where 0 is
// control.
func (b *builder) preferPort(s *parsedSilo, i int) {
	s.Port = firstPort + i*portStep
	n := s.own.get("port")
	if n == nil {
		return
	}
	s.Port = s.own.integer("port")
	s.PortFixed = s.Port != 0
	if s.Watchers && s.Port == lastPort {
		b.found.add(n.at, n.path, "with watchers the backend uses the next port, and 65535 leaves none", "port = 65534")
	}
}

// portOwners maps each port to the silo that has it.
type portOwners map[int]*parsedSilo

func (o portOwners) free(s *Silo) bool {
	return !slices.ContainsFunc(s.span(), func(port int) bool { return o[port] != nil })
}

func (o portOwners) claim(s *parsedSilo, ports []int) {
	for _, port := range ports {
		o[port] = cmp.Or(o[port], s)
	}
}

// ports checks that written ports do not overlap, and moves preferred ports so that
// they overlap neither those nor one another.
func (b *builder) ports(silos []*parsedSilo) {
	var fixed, conflicts []*parsedSilo
	for _, s := range silos {
		if s.PortFixed {
			fixed = append(fixed, s)
		}
	}
	slices.SortStableFunc(fixed, func(x, y *parsedSilo) int { return x.own.get("port").at.compare(y.own.get("port").at) })
	owners := portOwners{}
	for _, s := range fixed {
		if !owners.free(&s.Silo) {
			conflicts = append(conflicts, s)
		}
		owners.claim(s, s.span())
	}
	for _, s := range silos {
		if s.PortFixed || s.Port == 0 {
			continue
		}
		for !owners.free(&s.Silo) { // there are more ports than regions
			s.Port += portStep
		}
		owners.claim(s, s.span())
	}
	for _, s := range conflicts {
		b.portConflict(s, owners)
	}
}

// portConflict reports a written port that another silo uses. The hint is the next free
// port.
func (b *builder) portConflict(s *parsedSilo, owners portOwners) {
	var other *parsedSilo
	for _, port := range s.span() {
		if owner := owners[port]; owner != s {
			other = cmp.Or(other, owner)
		}
	}
	instead := s.Silo
	for instead.Port = firstPort; !owners.free(&instead); {
		instead.Port += portStep
	}
	owners.claim(s, instead.span()) // so that the next hint suggests another port
	verb := " overlaps with "
	if s.Watchers {
		verb = " overlap with "
	}
	text := s.portText() + verb + other.title() + ", which takes " + other.portText()
	if slices.Equal(s.span(), other.span()) {
		text = strconv.Itoa(s.Port) + " is also the port of " + other.title()
	}
	n := s.own.get("port")
	b.found.add(n.at, n.path, text+" ("+other.own.get("port").at.from(n.at)+")", "port = "+strconv.Itoa(instead.Port))
}
