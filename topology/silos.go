package topology

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// uniqueValue is a value that no two silos may share, with its position.
type uniqueValue struct {
	silo    *parsedSilo
	text    string
	node    *node
	derived bool // derived from another value that must be unique
}

// checkUnique reports each value that an earlier silo also has.
func (b *builder) checkUnique(values []uniqueValue, what, hint string) {
	slices.SortStableFunc(values, func(x, y uniqueValue) int { return x.node.at.compare(y.node.at) })
	first := map[string]uniqueValue{}
	for _, v := range values {
		other, taken := first[v.text]
		if !taken {
			first[v.text] = v
			continue
		}
		if v.derived && other.derived {
			continue
		}
		text := v.text + " is also the " + what + " of " + other.silo.title()
		b.found.add(v.node.at, v.node.path, text+" ("+other.node.at.from(v.node.at)+")", hint)
	}
}

// ids checks that no two regions have the same id.
func (b *builder) ids(regions []*parsedSilo) {
	var values []uniqueValue
	free, used := 1, map[int]bool{}
	for _, s := range regions {
		if n := s.own.get("id"); n != nil {
			values = append(values, uniqueValue{silo: s, text: strconv.Itoa(s.ID), node: n})
			used[s.ID] = true
		}
	}
	for used[free] {
		free++
	}
	b.checkUnique(values, "id", "id = "+strconv.Itoa(free))
}

// setDomain gives a silo its own domain, or one below the base domain.
func (b *builder) setDomain(s *parsedSilo, base *node) {
	s.domain = base
	if own := s.own.get("domain"); own.text() != "" {
		s.domain = own
	}
	s.Domain = strings.ToLower(s.domain.text())
	if s.Domain == "" || s.domain != base || s.Name == "control" {
		return
	}
	s.Domain = strings.ToLower(s.Name) + "." + s.Domain
	if checkLabel(s.Name) == nil && !isHost(s.Domain) {
		b.found.add(base.at, base.path, "is too long to be the base domain of region "+s.Name, "domain = \"…\" in ["+s.own.path+"]")
	}
}

// domains checks that no two silos have the same domain.
func (b *builder) domains(silos []*parsedSilo) {
	var values []uniqueValue
	for _, s := range silos {
		if s.Domain != "" {
			values = append(values, uniqueValue{silo: s, text: s.Domain, node: s.domain})
		}
	}
	b.checkUnique(values, "domain", "every silo needs its own domain")
}

// addresses checks that every silo has its own address if the provider does not assign one.
func (b *builder) addresses(provider string, tunnels *node, silos []*parsedSilo) {
	var values []uniqueValue
	for _, s := range silos {
		url := s.own.get("url")
		switch {
		case provider != "external":
			if url.text() != "" {
				b.warnings.add(url.key, url.path, "has no effect with provider "+provider, `provider = "external" in [tunnels]`)
			}
		case s.URL != "":
			values = append(values, uniqueValue{silo: s, text: s.URL, node: url})
		case s.Domain != "":
			s.URL = "https://" + s.Domain
			values = append(values, uniqueValue{silo: s, text: s.URL, node: s.domain, derived: true})
		case s.own.child("url") == nil && s.own.child("domain") == nil:
			at, path := tunnels.get("provider").at, s.Name
			if s.own != nil {
				at, path = s.own.key, s.own.path
			}
			b.found.add(at, path, "needs an address with provider external", `url = "https://…" in [`+path+"]")
		}
	}
	b.checkUnique(values, "address", "every silo needs its own address")
}

// accessKeys checks the keys that restrict access to a tunnel: they have no effect with
// a provider that does not support them.
func (b *builder) accessKeys(provider string, s *parsedSilo) {
	for _, name := range []string{"basic_auth", "allow_cidrs", "traffic_policy"} {
		n := s.own.child(name)
		if n.text() == "" && len(n.items()) == 0 {
			continue
		}
		switch {
		case provider == "local" && name != "traffic_policy":
		case provider != "ngrok":
			b.warnings.add(n.key, n.path, "has no effect with provider "+provider, `provider = "ngrok" in [tunnels]`)
		case name == "basic_auth":
			for _, item := range n.items() {
				_, password, _ := strings.Cut(item.text(), ":")
				if !item.invalid && utf8.RuneCountInString(password) < minPassword {
					b.found.add(item.at, item.path, "has a password of fewer than "+strconv.Itoa(minPassword)+" characters, which ngrok rejects", "use a longer password")
				}
			}
		}
	}
}
