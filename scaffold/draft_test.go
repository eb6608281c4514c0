package scaffold

import (
	"fmt"
	"strings"
	"testing"

	"silo/sentry"
	"silo/tunnels"
)

// draftWords are control's port, then each region with its id and port, then all warnings.
func draftWords(d Draft) string {
	words := []string{fmt.Sprintf("control:%d", d.Control.Port)}
	for _, r := range d.Regions {
		words = append(words, fmt.Sprintf("%s=%d:%d", r.Name, r.ID, r.Port))
	}
	if d.Watchers != "" {
		words = append(words, "watchers="+d.Watchers)
	}
	return strings.Join(append(words, d.Warnings...), "; ")
}

func TestOfAgent(t *testing.T) {
	t.Parallel()
	one := func(name string, port int, domain string) tunnels.AgentTunnel {
		return tunnels.AgentTunnel{Name: name, Port: port, Domain: domain}
	}
	const madeUp = "made up, and part of what a database holds: the ids "
	cases := map[string]struct {
		tunnels []tunnels.AgentTunnel
		written []sentry.WrittenRegion
		want    string
	}{
		"control by its name": {[]tunnels.AgentTunnel{one("us", 8000, ""), one("My-Control", 9000, "")}, nil, "control:9000; us=1:8000; " + madeUp + "us = 1"},
		"by its port":         {[]tunnels.AgentTunnel{one("us", 7000, ""), one("main", 8000, "")}, nil, "control:8000; us=1:7000; " + madeUp + "us = 1"},
		"as the lowest":       {[]tunnels.AgentTunnel{one("us", 7002, ""), one("main", 7000, "")}, nil, "control:7000; us=1:7002; " + madeUp + "us = 1"},
		"the only one":        {[]tunnels.AgentTunnel{one("web", 8000, "")}, nil, "control:8000; us=1:0; there is but one tunnel: region us is made up"},
		"names":               {[]tunnels.AgentTunnel{one("control", 1, ""), one("region-us_west", 3, ""), one("Us West", 5, ""), one("all", 7, ""), one("…", 9, "")}, nil, "control:1; us-west=1:3; us-west-2=2:5; region-all=3:7; region=4:9; " + madeUp + "us-west = 1, us-west-2 = 2, region-all = 3, region = 4"},
		"known regions":       {[]tunnels.AgentTunnel{one("control", 1, ""), one("b", 3, ""), one("a", 5, "a.test")}, []sentry.WrittenRegion{{Name: "europe", ID: 1, Address: "https://a.test"}}, "control:1; b=2:3; europe=1:5; " + madeUp + "b = 2"},
		"one port twice":      {[]tunnels.AgentTunnel{one("control", 8000, "a.test"), one("us", 8002, "b.test"), one("also", 8000, "c.test"), one("same", 8004, "b.test")}, nil, "control:8000; us=1:8002; not carried over: also: control has its port or its domain; not carried over: same: us has its port or its domain; " + madeUp + "us = 1"},
		"a wildcard":          {[]tunnels.AgentTunnel{one("control", 8000, ""), one("us", 8002, "*.b.test")}, nil, "control:8000; us=1:8002; us: a wildcard is no address of one silo: its domain is left out; " + madeUp + "us = 1"},
		"neighbours":          {[]tunnels.AgentTunnel{one("control", 8000, ""), one("us", 8001, "")}, nil, "control:8000; us=1:8001; watchers=false; " + madeUp + "us = 1; ports follow one another: watchers = false, since a devserver with webpack takes two"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := draftWords(OfAgent(tunnels.AgentFile{Tunnels: c.tunnels}, c.written)); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}
