package scaffold

import (
	"fmt"
	"strings"
	"testing"

	"silo/sentry"
)

// summary returns control's port, each region with its id and port, and all warnings.
func summary(d Draft) string {
	words := []string{fmt.Sprintf("control:%d", d.Control.Port)}
	for _, r := range d.Regions {
		words = append(words, fmt.Sprintf("%s=%d:%d", r.Name, r.ID, r.Port))
	}
	if d.Watchers != "" {
		words = append(words, "watchers="+d.Watchers)
	}
	return strings.Join(append(words, d.Warnings...), "; ")
}

func TestFromAgent(t *testing.T) {
	t.Parallel()
	one := func(name string, port int, domain string) AgentTunnel {
		return AgentTunnel{Name: name, Port: port, Domain: domain}
	}
	const guessed = "guessed region ids, which an existing database must share: "
	cases := map[string]struct {
		tunnels []AgentTunnel
		written []sentry.WrittenRegion
		want    string
	}{
		"control by its name":   {[]AgentTunnel{one("us", 8000, ""), one("My-Control", 9000, "")}, nil, "control:9000; us=1:8000; " + guessed + "us = 1"},
		"by its port":           {[]AgentTunnel{one("us", 7000, ""), one("main", 8000, "")}, nil, "control:8000; us=1:7000; " + guessed + "us = 1"},
		"as the lowest":         {[]AgentTunnel{one("us", 7002, ""), one("main", 7000, "")}, nil, "control:7000; us=1:7002; " + guessed + "us = 1"},
		"the only one":          {[]AgentTunnel{one("web", 8000, "")}, nil, "control:8000; us=1:0; there is only one tunnel: region us is an example"},
		"names":                 {[]AgentTunnel{one("control", 1, ""), one("region-us_west", 3, ""), one("Us West", 5, ""), one("all", 7, ""), one("…", 9, "")}, nil, "control:1; us-west=1:3; us-west-2=2:5; region-all=3:7; region=4:9; " + guessed + "us-west = 1, us-west-2 = 2, region-all = 3, region = 4"},
		"known regions":         {[]AgentTunnel{one("control", 1, ""), one("b", 3, ""), one("a", 5, "a.test")}, []sentry.WrittenRegion{{Name: "europe", ID: 1, Address: "https://a.test"}}, "control:1; b=2:3; europe=1:5; " + guessed + "b = 2"},
		"one port twice":        {[]AgentTunnel{one("control", 8000, "a.test"), one("us", 8002, "b.test"), one("also", 8000, "c.test"), one("same", 8004, "b.test")}, nil, "control:8000; us=1:8002; not carried over: also: control has the same port or domain; not carried over: same: us has the same port or domain; " + guessed + "us = 1"},
		"control shares a port": {[]AgentTunnel{one("app", 8000, "me.test"), one("hc-control", 8000, "c.test"), one("hc-region", 8002, "r.test")}, nil, "control:8000; hc=1:8002; not carried over: app: hc-control has the same port or domain; " + guessed + "hc = 1"},
		"a wildcard":            {[]AgentTunnel{one("control", 8000, ""), one("us", 8002, "*.b.test")}, nil, "control:8000; us=1:8002; us: a wildcard domain cannot be the address of one silo, and was left out; " + guessed + "us = 1"},
		"neighbours":            {[]AgentTunnel{one("control", 8000, ""), one("us", 8001, "")}, nil, "control:8000; us=1:8001; watchers=false; " + guessed + "us = 1; some ports are adjacent: watchers = false, because a devserver with webpack takes two ports"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := summary(FromAgent(AgentFile{Tunnels: c.tunnels}, c.written)); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}
