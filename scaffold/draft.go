// Package draft makes a topology for who has none yet: of the regions of Sentry's
// configuration file, or of the tunnels of an ngrok agent, with the names and ids
// that Sentry has for them.
//
// It is pure. It must not know where those files are, nor write any.
package scaffold

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"silo/sentry"
	"silo/templates"
	"silo/tunnels"
)

// Draft is a topology made of what was found, with what its user should know.
type Draft struct {
	templates.Topology

	Notes    []string // what became of what
	Warnings []string // what was not carried over, or had to be guessed
}

// Secret tells whether the topology holds what is not for everybody to read.
func (d *Draft) Secret() bool {
	holds := func(s templates.Silo) bool { return len(s.BasicAuth) > 0 || s.TrafficPolicy != "" }
	return holds(d.Control) || slices.ContainsFunc(d.Regions, func(r templates.RegionTable) bool { return holds(r.Silo) })
}

// OfRegions makes a topology of the regions of Sentry's configuration file, or an
// example where there are none.
func OfRegions(written []sentry.WrittenRegion) Draft {
	if len(written) == 0 {
		return Draft{Topology: templates.Topology{Regions: []templates.RegionTable{{Name: "us", ID: 1}, {Name: "eu", ID: 2}}}}
	}
	var d Draft
	for _, w := range written {
		d.Regions = append(d.Regions, templates.RegionTable{Name: w.Name, ID: w.ID, Category: w.Category})
	}
	return d
}

// OfAgent makes a topology of an ngrok agent's tunnels, of which there is at least
// one. Control is told by its name, else by its port; all others are regions.
// written are the regions of Sentry's configuration file: one of the same domain or
// name gives its name, id and category.
func OfAgent(file tunnels.AgentFile, written []sentry.WrittenRegion) Draft {
	d := Draft{Topology: templates.Topology{
		Provider: tunnels.Ngrok,
		Ngrok:    templates.Ngrok{ServerAddr: file.ServerAddr, RootCAs: file.RootCAs, Metadata: unexpanded(file.Metadata)},
	}}
	for _, left := range file.Left {
		d.Warnings = append(d.Warnings, "not carried over: "+left)
	}
	list := d.distinct(file.Tunnels)
	control := slices.IndexFunc(list, isControl)
	if control < 0 {
		control = slices.IndexFunc(list, func(t tunnels.AgentTunnel) bool { return t.Port == 8000 })
	}
	if control < 0 {
		lowest := slices.MinFunc(list, func(x, y tunnels.AgentTunnel) int { return cmp.Compare(x.Port, y.Port) })
		control = slices.IndexFunc(list, func(t tunnels.AgentTunnel) bool { return t.Port == lowest.Port })
	}
	d.Control = place(list[control])
	d.Notes = append(d.Notes, list[control].Name+" is control")
	d.regions(slices.Delete(slices.Clone(list), control, control+1), written)
	ports := []int{d.Control.Port}
	for _, r := range d.Regions {
		ports = append(ports, r.Port)
	}
	if slices.ContainsFunc(ports, func(port int) bool { return slices.Contains(ports, port+1) }) {
		d.Watchers = "false"
		d.Warnings = append(d.Warnings, "ports follow one another: watchers = false, since a devserver with webpack takes two")
	}
	return d
}

// distinct leaves out tunnels that lead to where another one leads, or from where.
func (d *Draft) distinct(all []tunnels.AgentTunnel) (list []tunnels.AgentTunnel) {
	for _, t := range all {
		i := slices.IndexFunc(list, func(other tunnels.AgentTunnel) bool {
			return other.Port == t.Port || t.Domain != "" && other.Domain == t.Domain
		})
		switch {
		case i >= 0:
			d.Warnings = append(d.Warnings, fmt.Sprintf("not carried over: %s: %s has its port or its domain", t.Name, list[i].Name))
		case strings.Contains(t.Domain, "*"):
			d.Warnings = append(d.Warnings, fmt.Sprintf("%s: a wildcard is no address of one silo: its domain is left out", t.Name))
			t.Domain = ""
			list = append(list, t)
		default:
			list = append(list, t)
		}
	}
	return list
}

func isControl(t tunnels.AgentTunnel) bool {
	return strings.Contains(strings.ToLower(t.Name), "control")
}

// regions makes a region of each tunnel.
func (d *Draft) regions(list []tunnels.AgentTunnel, written []sentry.WrittenRegion) {
	var guessed []string
	ids, names := map[int]bool{}, map[string]bool{}
	for _, t := range list {
		region := templates.RegionTable{Silo: place(t), Name: regionName(t.Name)}
		i := slices.IndexFunc(written, func(w sentry.WrittenRegion) bool { return t.Domain != "" && w.Address == "https://"+t.Domain })
		if i < 0 {
			i = slices.IndexFunc(written, func(w sentry.WrittenRegion) bool { return w.Name == region.Name })
		}
		if i >= 0 && !ids[written[i].ID] && !names[written[i].Name] {
			region.Name, region.ID, region.Category = written[i].Name, written[i].ID, written[i].Category
		}
		for n, stem := 2, region.Name; names[region.Name]; n++ {
			region.Name = stem + "-" + strconv.Itoa(n)
		}
		ids[region.ID], names[region.Name] = true, true
		d.Regions = append(d.Regions, region)
		d.Notes = append(d.Notes, t.Name+" is region "+region.Name)
	}
	for i, next := 0, 1; i < len(d.Regions); i++ {
		if d.Regions[i].ID != 0 {
			continue
		}
		for ids[next] {
			next++
		}
		d.Regions[i].ID, ids[next] = next, true
		guessed = append(guessed, fmt.Sprintf("%s = %d", d.Regions[i].Name, next))
	}
	switch {
	case len(list) == 0:
		d.Regions = []templates.RegionTable{{Name: "us", ID: 1}}
		d.Warnings = append(d.Warnings, "there is but one tunnel: region us is made up")
	case len(guessed) > 0:
		d.Warnings = append(d.Warnings, "made up, and part of what a database holds: the ids "+strings.Join(guessed, ", "))
	}
}

// place is what a topology says of a tunnel's silo.
func place(t tunnels.AgentTunnel) templates.Silo {
	s := templates.Silo{
		Port: t.Port, Domain: t.Domain, HostHeader: t.HostHeader, AllowCIDRs: t.AllowCIDRs,
		TrafficPolicy: cmp.Or(expandable.ReplaceAllString(t.TrafficPolicy, "$$$0"), unexpanded(t.PolicyFile)),
	}
	for _, pair := range t.BasicAuth {
		s.BasicAuth = append(s.BasicAuth, unexpanded(pair))
	}
	return s
}

// expandable is what a topology would take for a variable of the environment in a
// traffic policy, which has expressions of the kind of its own.
var expandable = regexp.MustCompile(`\$\{[A-Za-z_][A-Za-z0-9_]*(\}|:-)`)

// unexpanded keeps a text from being expanded.
func unexpanded(text string) string { return strings.ReplaceAll(text, "${", "$${") }

var noLabel = regexp.MustCompile(`[^a-z0-9]+`)

// regionName makes a region's name of a tunnel's: us of us, us-silo and region-us.
func regionName(tunnel string) string {
	name := strings.Trim(noLabel.ReplaceAllString(strings.ToLower(tunnel), "-"), "-")
	for _, cut := range []func(string) (string, bool){
		func(s string) (string, bool) { return strings.CutSuffix(s, "-silo") },
		func(s string) (string, bool) { return strings.CutPrefix(s, "silo-") },
		func(s string) (string, bool) { return strings.CutPrefix(s, "region-") },
		func(s string) (string, bool) { return strings.CutSuffix(s, "-region") },
	} {
		name, _ = cut(name)
	}
	if name = strings.Trim(name[:min(len(name), 50)], "-"); name == "" || slices.Contains([]string{"control", "all", "monolith"}, name) {
		name = strings.Trim("region-"+name, "-")
	}
	return name
}
