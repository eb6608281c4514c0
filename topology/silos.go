package topology

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// mark is a value that no two silos may share, and where it was written.
type mark struct {
	silo    *draft
	value   string
	at      place
	key     string
	derived bool // from a value that is held apart itself
}

// unshared reports each value that a silo shares with one written before it.
func (b *builder) unshared(marks []mark, what, hint string) {
	slices.SortStableFunc(marks, func(x, y mark) int { return x.at.compare(y.at) })
	first := map[string]mark{}
	for _, m := range marks {
		other, taken := first[m.value]
		if !taken {
			first[m.value] = m
			continue
		}
		if m.derived && other.derived {
			continue
		}
		text := m.value + " is also the " + what + " of " + other.silo.title()
		b.found.add(m.at, m.key, text+" ("+other.at.seenFrom(m.at)+")", hint)
	}
}

// ids holds that no two regions have one id.
func (b *builder) ids(regions []*draft) {
	var marks []mark
	free, used := 1, map[int]bool{}
	for _, d := range regions {
		if n := d.keys.own().get("id"); n != nil && n.kind == isInteger {
			marks = append(marks, mark{silo: d, value: strconv.Itoa(d.ID), at: n.valuePlace(), key: n.path()})
			used[d.ID] = true
		}
	}
	for used[free] {
		free++
	}
	b.unshared(marks, "id", "id = "+strconv.Itoa(free))
}

// domain gives a silo the domain it has: its own, or one from tunnels.domain.
func (b *builder) domain(d *draft, base *node) {
	if n := d.keys.own().get("domain"); n != nil && n.text != "" {
		d.Domain, d.said = strings.ToLower(n.text), n
		return
	}
	if base == nil || base.text == "" {
		return
	}
	d.Domain, d.said = strings.ToLower(base.text), base
	if d.Name == "control" {
		return
	}
	d.Domain = strings.ToLower(d.Name) + "." + d.Domain
	if label(d.Name).none() && !isHost(d.Domain) {
		b.found.add(base.valuePlace(), base.path(), "is too long for region "+d.Name+" to come before it", "domain = \"…\" in ["+d.node.path()+"]")
	}
}

// domains holds that no two silos have one domain.
func (b *builder) domains(silos []*draft) {
	var marks []mark
	for _, d := range silos {
		if d.Domain != "" {
			marks = append(marks, mark{silo: d, value: d.Domain, at: d.said.valuePlace(), key: d.said.path()})
		}
	}
	b.unshared(marks, "domain", "every silo needs a domain of its own")
}

// addresses holds that every silo has an address, and one of its own, where
// silo is not the one to make them.
func (b *builder) addresses(provider string, tunnels section, silos []*draft) {
	var marks []mark
	for _, d := range silos {
		url := d.keys.own().get("url")
		switch {
		case provider != "external":
			if url != nil && url.text != "" {
				b.warnings.add(url.keyPlace(), url.path(), "has no effect with provider "+provider, `provider = "external" in [tunnels]`)
			}
		case d.URL != "":
			marks = append(marks, mark{silo: d, value: d.URL, at: url.valuePlace(), key: url.path()})
		case d.Domain != "":
			d.URL = "https://" + d.Domain
			marks = append(marks, mark{silo: d, value: d.URL, at: d.said.valuePlace(), key: d.said.path(), derived: true})
		case d.node.child("url") == nil && d.node.child("domain") == nil:
			at := tunnels.get("provider").valuePlace()
			if d.node != nil {
				at = d.node.keyPlace()
			}
			b.found.add(at, d.where(), "has no address, which provider external does not make", `url = "https://…" in [`+d.where()+"]")
		}
	}
	b.unshared(marks, "address", "every silo needs an address of its own")
}

// where is a silo's dotted key.
func (d *draft) where() string {
	if d.node == nil {
		return d.Name
	}
	return d.node.path()
}

// guards checks what keeps callers out of a tunnel: where its provider cannot do
// so, it would protect nothing.
func (b *builder) guards(provider string, d *draft) {
	for _, name := range []string{"basic_auth", "allow_cidrs", "traffic_policy"} {
		n := d.node.child(name)
		if n == nil || n.kind == isTable || (n.text == "" && len(n.items) == 0) {
			continue
		}
		switch {
		case provider == "local" && name != "traffic_policy":
		case provider != "ngrok":
			b.warnings.add(n.keyPlace(), n.path(), "has no effect with provider "+provider, `provider = "ngrok" in [tunnels]`)
		case name == "basic_auth":
			b.passwords(n)
		}
	}
}

func (b *builder) passwords(credentials *node) {
	for _, item := range credentials.items {
		if item.bad {
			continue
		}
		if _, password, _ := strings.Cut(item.text, ":"); utf8.RuneCountInString(password) < minPassword {
			b.found.add(item.valuePlace(), item.path(), "has a password of fewer than "+strconv.Itoa(minPassword)+" characters, which ngrok refuses", "take a longer one")
		}
	}
}
