package cmd

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"silo/plan"
	"silo/scaffold"
	"silo/sentry"
	"silo/state"
	"silo/topology"
)

func (a *app) tunnelsCommand() *cli.Command {
	return &cli.Command{
		Name: "tunnels", ArgsUsage: "[SILO…]", Category: categoryLook,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "print-config", Usage: "print the region config without its marker lines"},
			&cli.StringFlag{Name: "format", Value: "sentry", Usage: "print as `FORMAT`: sentry, ngrok-v2, ngrok-v3, env or json"},
		},
		Action: a.tunnels,
	}
}

func (a *app) tunnels(c *cli.Context) error {
	if !c.Bool("print-config") && !c.IsSet("format") {
		return a.tunnelTable(c)
	}
	if c.String("format") == "sentry" {
		if c.NArg() > 0 {
			return &usageError{text: "the region config names all silos", hint: "silo tunnels --print-config, without " + c.Args().First()}
		}
		r, err := a.regionConfig(c, "")
		if err != nil {
			return err
		}
		return a.print(r.Text())
	}
	addresses, err := a.addresses(c)
	if err != nil {
		return err
	}
	switch c.String("format") {
	case "json":
		return a.printJSON(addresses)
	case "env":
		return a.printVariables(addresses)
	}
	return a.printAgentConfig(c, addresses)
}

func (a *app) tunnelTable(c *cli.Context) error {
	dir, err := a.instanceDir(c)
	if err != nil {
		return err
	}
	if isMissing(dir) {
		return a.nothingRuns(c, addresses{}, noTopology(dir), "silo init")
	}
	snapshot, err := a.current(c, dir)
	if err != nil {
		return err
	}
	if snapshot.Silos, err = selectSilos(snapshot.Silos, c.Args().Slice()); err != nil {
		return err
	}
	if c.Bool("json") {
		err = a.printJSON(addressesOf(snapshot))
	} else {
		if snapshot.State == state.InstanceStopped && snapshot.PID == nil && slices.ContainsFunc(snapshot.Silos, func(s state.Silo) bool { return s.URL != "" }) {
			a.note("nothing is running; these are the addresses of the last run")
		}
		a.results.Tunnels(*snapshot)
		a.warnKilled(snapshot)
	}
	if err == nil && snapshot.State == state.InstanceStopped {
		return exitQuietly(exitStopped)
	}
	return err
}

// address is a silo's address as --json prints it.
type address struct {
	Name     string        `json:"name"`
	Mode     state.Mode    `json:"mode"`
	RegionID *int          `json:"region_id"`
	Category *string       `json:"category"`
	URL      string        `json:"url"`
	Upstream string        `json:"upstream"` // host:port on this machine
	Port     int           `json:"port"`
	Browse   *string       `json:"browse_url"`
	Tunnel   *state.Tunnel `json:"tunnel,omitempty"`
}

type addresses []address

// MarshalJSON prints unknown values as null, as in a snapshot.
func (a addresses) MarshalJSON() ([]byte, error) { return state.MarshalWithNulls([]address(a)) }

func addressesOf(s *state.Snapshot) addresses {
	list := make(addresses, len(s.Silos))
	for i, silo := range s.Silos {
		list[i] = address{silo.Name, silo.Mode, silo.RegionID, silo.Category, silo.URL, silo.Bind, silo.Port, silo.BrowseURL, &silo.Tunnel}
	}
	return list
}

// addresses returns the live addresses, or those that `up` would assign.
func (a *app) addresses(c *cli.Context) (addresses, error) {
	dir, snapshot, err := a.runningSnapshot(c)
	if err != nil {
		return nil, err
	}
	if snapshot != nil {
		snapshot.Silos, err = selectSilos(snapshot.Silos, c.Args().Slice())
		return addressesOf(snapshot), err
	}
	layout, err := a.layout(c, dir, nil, "")
	if err != nil {
		return nil, err
	}
	if err := layout.CheckNames(c.Args().Slice()); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(planned(layout), func(one address) bool {
		return c.NArg() > 0 && !slices.Contains(c.Args().Slice(), one.Name)
	}), nil
}

// planned returns the addresses of a layout.
func planned(layout *plan.Layout) addresses {
	var list addresses
	for _, s := range layout.Placed {
		one := address{Name: s.Name, Mode: s.Mode, URL: s.URL, Upstream: s.Bind(), Port: s.Port}
		if s.BrowseURL != "" {
			one.Browse = &s.BrowseURL
		}
		if !s.IsControl() {
			one.RegionID, one.Category = &s.ID, &s.Category
		}
		list = append(list, one)
	}
	return list
}

func (a *app) printVariables(all addresses) error {
	var lines strings.Builder
	for _, one := range all {
		fmt.Fprintf(&lines, "%s=%s\n", sentry.URLVariable(one.Name), one.URL)
	}
	return a.print(lines.String())
}

// printAgentConfig prints a configuration file for the ngrok agent, with the tunnel
// options of the topology.
func (a *app) printAgentConfig(c *cli.Context, all addresses) error {
	list := make([]scaffold.AgentTunnel, len(all))
	for i, one := range all {
		domain, _ := strings.CutPrefix(one.URL, "https://")
		if domain == one.URL {
			domain = "" // a loopback address: the agent chooses a domain
		}
		list[i] = scaffold.AgentTunnel{Name: one.Name, Domain: domain, Port: one.Port}
	}
	if err := a.addOptions(c, list); err != nil {
		return err
	}
	text, err := scaffold.AgentConfig(c.String("format"), list)
	if err != nil {
		return err
	}
	return a.print(string(text))
}

// addOptions sets the tunnel options of the topology, which a snapshot does not have.
// Without them, the file could expose the silos to the internet. The demo has none.
func (a *app) addOptions(c *cli.Context, list []scaffold.AgentTunnel) error {
	file, err := a.topologyPath(c)
	if errors.Is(err, topology.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	t, err := topology.Load(file, a.lookup)
	if err != nil {
		return err
	}
	for _, s := range t.Silos() {
		for i := range list {
			if list[i].Name == s.Name {
				list[i].HostHeader, list[i].BasicAuth = s.HostHeader, s.BasicAuth
				list[i].AllowCIDRs, list[i].TrafficPolicy = s.AllowCIDRs, s.TrafficPolicy
			}
		}
	}
	return nil
}
