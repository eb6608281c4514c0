// Package scaffold writes a first silo.toml: from the regions in Sentry's configuration
// file, or from the tunnels of an ngrok agent. It also writes configuration files for
// that agent.
//
// It must not know about command lines or terminals.
package scaffold

import (
	"cmp"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"silo/sentry"
	"silo/topology"
	"silo/tunnels"
)

// Draft is a topology that was made from other files.
type Draft struct {
	Topology

	Notes    []string // which input became which silo
	Warnings []string // settings that were lost or guessed
}

// HasSecrets reports whether the topology contains passwords or traffic policies.
func (d *Draft) HasSecrets() bool {
	secret := func(s Silo) bool { return len(s.BasicAuth) > 0 || s.TrafficPolicy != "" }
	return secret(d.Control) || slices.ContainsFunc(d.Regions, func(r Region) bool { return secret(r.Silo) })
}

// FromSentry makes a topology from the regions and the address of control in Sentry's
// configuration file, or an example if there are no regions. Addresses of ngrok become the
// silos' domains.
func FromSentry(written []sentry.WrittenRegion, control string) Draft {
	if len(written) == 0 {
		return Draft{Topology: Topology{Regions: []Region{{Name: "us", ID: 1}, {Name: "eu", ID: 2}}}}
	}
	var d Draft
	d.Control.Domain = d.domain("control", control)
	for _, w := range written {
		region := Region{Name: w.Name, ID: w.ID, Category: w.Category}
		region.Domain = d.domain(w.Name, w.Address)
		d.Regions = append(d.Regions, region)
	}
	return d
}

// domain returns the domain of an ngrok address, and selects the ngrok provider. Any other
// address that is not on this machine is reported.
func (d *Draft) domain(silo, address string) string {
	u, err := url.Parse(address)
	switch {
	case address == "", err != nil, isLocal(u.Hostname()):
		return ""
	case u.Scheme == "https" && u.Port() == "" && topology.IsNgrokHost(u.Host):
		d.Provider = tunnels.Ngrok
		return strings.ToLower(u.Host)
	}
	d.warn("not carried over: %s of %s; with your own tunnels, set provider = \"external\", and url of each silo", address, silo)
	return ""
}

// isLocal reports whether a host is this machine, by the names that need no look-up.
func isLocal(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && (ip.IsLoopback() || ip.IsUnspecified())
}

// FromAgent makes a topology from an ngrok agent's tunnels, of which there must be at
// least one. Control is the tunnel with "control" in its name, else the one to port 8000,
// else the one to the lowest port; all others are regions. If a region in written has the
// same domain or name, its name, id and category are used.
func FromAgent(file AgentFile, written []sentry.WrittenRegion) Draft {
	d := Draft{Topology: Topology{
		Provider: tunnels.Ngrok,
		Ngrok:    Ngrok{ServerAddr: file.ServerAddr, RootCAs: file.RootCAs, Metadata: escapeVariables(file.Metadata)},
	}}
	for _, skipped := range file.Skipped {
		d.warn("not carried over: %s", skipped)
	}
	i := controlIndex(file.Tunnels)
	control := file.Tunnels[i]
	list := d.unique(slices.Concat([]AgentTunnel{control}, file.Tunnels[:i], file.Tunnels[i+1:]))
	d.Control = siloOf(list[0])
	d.Notes = append(d.Notes, control.Name+" is control")
	d.addRegions(list[1:], written)
	if slices.ContainsFunc(list, func(t AgentTunnel) bool {
		return slices.ContainsFunc(list, func(next AgentTunnel) bool { return next.Port == t.Port+1 })
	}) {
		d.Watchers = "false"
		d.warn("some ports are adjacent: watchers = false, because a devserver with webpack takes two ports")
	}
	return d
}

func (d *Draft) warn(format string, args ...any) {
	d.Warnings = append(d.Warnings, fmt.Sprintf(format, args...))
}

func controlIndex(list []AgentTunnel) int {
	i := slices.IndexFunc(list, func(t AgentTunnel) bool { return strings.Contains(strings.ToLower(t.Name), "control") })
	if i < 0 {
		i = slices.IndexFunc(list, func(t AgentTunnel) bool { return t.Port == 8000 })
	}
	if i < 0 {
		lowest := slices.MinFunc(list, func(x, y AgentTunnel) int { return cmp.Compare(x.Port, y.Port) })
		i = slices.IndexFunc(list, func(t AgentTunnel) bool { return t.Port == lowest.Port })
	}
	return i
}

// unique drops tunnels whose port or domain belongs to an earlier tunnel.
func (d *Draft) unique(all []AgentTunnel) (list []AgentTunnel) {
	for _, t := range all {
		i := slices.IndexFunc(list, func(other AgentTunnel) bool {
			return other.Port == t.Port || t.Domain != "" && other.Domain == t.Domain
		})
		if i >= 0 {
			d.warn("not carried over: %s: %s has the same port or domain", t.Name, list[i].Name)
			continue
		}
		if strings.Contains(t.Domain, "*") {
			d.warn("%s: a wildcard domain cannot be the address of one silo, and was left out", t.Name)
			t.Domain = ""
		}
		list = append(list, t)
	}
	return list
}

// addRegions adds a region for each tunnel.
func (d *Draft) addRegions(list []AgentTunnel, written []sentry.WrittenRegion) {
	ids, names := map[int]bool{}, map[string]bool{}
	for _, t := range list {
		region := Region{Silo: siloOf(t), Name: regionName(t.Name)}
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
	if len(list) == 0 {
		d.Regions = []Region{{Name: "us", ID: 1}}
		d.warn("there is only one tunnel: region us is an example")
		return
	}
	var guessed []string
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
	if len(guessed) > 0 {
		d.warn("guessed region ids, which an existing database must share: %s", strings.Join(guessed, ", "))
	}
}

func siloOf(t AgentTunnel) Silo {
	s := Silo{
		Port: t.Port, Domain: t.Domain, HostHeader: t.HostHeader, AllowCIDRs: t.AllowCIDRs,
		TrafficPolicy: cmp.Or(variable.ReplaceAllString(t.TrafficPolicy, "$$$0"), escapeVariables(t.PolicyFile)),
	}
	for _, pair := range t.BasicAuth {
		s.BasicAuth = append(s.BasicAuth, escapeVariables(pair))
	}
	return s
}

// variable matches the variables that a topology expands. Traffic policies have
// expressions that also begin with ${.
var variable = regexp.MustCompile(`\$\{[A-Za-z_][A-Za-z0-9_]*(\}|:-)`)

// escapeVariables keeps a topology from expanding ${NAME} in text.
func escapeVariables(text string) string { return strings.ReplaceAll(text, "${", "$${") }

var notLabel = regexp.MustCompile(`[^a-z0-9]+`)

// regionName derives a region's name from a tunnel's: us from us, us-silo and region-us.
func regionName(tunnel string) string {
	name := strings.Trim(notLabel.ReplaceAllString(strings.ToLower(tunnel), "-"), "-")
	for _, affix := range []string{"silo", "region"} {
		name = strings.TrimPrefix(strings.TrimSuffix(name, "-"+affix), affix+"-")
	}
	if name = strings.Trim(name[:min(len(name), 50)], "-"); name == "" || slices.Contains([]string{"control", "all", "monolith"}, name) {
		name = strings.Trim("region-"+name, "-")
	}
	return name
}
