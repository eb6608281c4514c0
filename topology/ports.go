package topology

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// span are the ports that a silo takes.
func (s *Silo) span() []int {
	if s.Watchers {
		return []int{s.Port, s.Port + 1}
	}
	return []int{s.Port}
}

func spanned(ports []int) string {
	words := make([]string, len(ports))
	for i, port := range ports {
		words[i] = strconv.Itoa(port)
	}
	return strings.Join(words, " and ")
}

const (
	firstPort = 8000 // of control; each region's is portStep above the one before
	portStep  = 2    // room for a devserver and its watchers
	lastPort  = 65535
)

// preferPort gives a silo the port that is written, or the one it would have
// alone: i is its number, control's being 0.
func (b *builder) preferPort(d *draft, i int) {
	d.Port = firstPort + i*portStep
	n := d.keys.own().get("port")
	if n == nil {
		return
	}
	d.Port = d.keys.own().integer("port")
	d.PortFixed = d.Port != 0
	if d.Watchers && d.Port == lastPort {
		b.found.add(n.valuePlace(), n.path(), "65535 leaves no port for the backend behind the watchers, which takes the next one", "port = 65534")
	}
}

// ports holds that written ports do not overlap, and moves preferred ones out of
// the way of written ones and of one another.
func (b *builder) ports(silos []*draft) {
	var fixed []*draft
	for _, d := range silos {
		if d.PortFixed {
			fixed = append(fixed, d)
		}
	}
	slices.SortStableFunc(fixed, func(x, y *draft) int { return x.portPlace().compare(y.portPlace()) })
	taken := map[int]*draft{}
	free := func(s *Silo) bool {
		return !slices.ContainsFunc(s.span(), func(port int) bool { return taken[port] != nil })
	}
	var clashes []*draft
	for _, d := range fixed {
		if !free(&d.Silo) {
			clashes = append(clashes, d)
		}
		for _, port := range d.span() {
			taken[port] = cmp.Or(taken[port], d)
		}
	}
	for _, d := range silos {
		if d.PortFixed || d.Port == 0 {
			continue
		}
		for !free(&d.Silo) && d.Port+1+portStep <= lastPort {
			d.Port += portStep
		}
		for _, port := range d.span() {
			taken[port] = cmp.Or(taken[port], d)
		}
	}
	for _, d := range clashes {
		b.clash(d, taken, free)
	}
}

func (d *draft) portPlace() place { return d.keys.own().get("port").valuePlace() }

// clash reports a written port that another silo has; the hint is the next that
// nobody has.
func (b *builder) clash(d *draft, taken map[int]*draft, free func(*Silo) bool) {
	var other *draft
	for _, port := range d.span() {
		if owner := taken[port]; owner != nil && owner != d {
			other = cmp.Or(other, owner)
		}
	}
	instead := d.Silo
	for instead.Port = firstPort; !free(&instead) && instead.Port < lastPort-portStep; {
		instead.Port += portStep
	}
	for _, port := range instead.span() {
		taken[port] = cmp.Or(taken[port], d) // so that the next hint is another
	}
	n := d.keys.own().get("port")
	verb := " overlaps with "
	if d.Watchers {
		verb = " overlap with "
	}
	text := spanned(d.span()) + verb + other.title() + ", which takes " + spanned(other.span())
	if slices.Equal(d.span(), other.span()) {
		text = strconv.Itoa(d.Port) + " is also the port of " + other.title()
	}
	b.found.add(n.valuePlace(), n.path(), text+" ("+other.portPlace().seenFrom(n.valuePlace())+")", "port = "+strconv.Itoa(instead.Port))
}
