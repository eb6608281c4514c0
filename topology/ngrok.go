package topology

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// freeEndpoints is the number of concurrent endpoints of ngrok's plans below
// pay-as-you-go (github.com/ngrok/ngrok-docs 56a5f99,
// pricing-limits/free-plan-limits.mdx).
const freeEndpoints = 3

// IsNgrokHost reports whether a host is one of the ngrok service's own domains.
func IsNgrokHost(host string) bool {
	return slices.ContainsFunc([]string{".ngrok.app", ".ngrok.dev", ".ngrok-free.app", ".ngrok-free.dev", ".ngrok.io", ".ngrok.pizza"},
		func(suffix string) bool { return strings.HasSuffix(strings.ToLower(host), suffix) })
}

// onFreeDomain reports whether a domain is like the one that ngrok assigns to a free
// account (domains/index.mdx).
func onFreeDomain(domain string) bool {
	return strings.HasSuffix(domain, ".ngrok-free.app") || strings.HasSuffix(domain, ".ngrok-free.dev")
}

// freePlan warns about limits of ngrok's free plan. The account's plan is unknown here,
// except that domains of the free plan reveal it.
func (b *builder) freePlan(provider string, tunnels *node, silos []*parsedSilo) {
	if provider != "ngrok" {
		return
	}
	var first *node // of the free domains
	free, random := 0, 0
	for _, s := range silos {
		switch {
		case s.Domain == "":
			random++
		case onFreeDomain(s.Domain):
			free++
			first = cmp.Or(first, s.domain)
		}
	}
	const instead = `provider = "local" needs no account`
	if free > 1 {
		text := fmt.Sprintf("is a domain of ngrok's free plan, which includes one domain; %d silos need one each", free)
		if len(silos) > freeEndpoints {
			text += fmt.Sprintf(", and %d endpoints instead of %d", len(silos), freeEndpoints)
		}
		b.warnings.add(first.at, first.path, text, instead)
	}
	if random > 0 {
		n := tunnels.get("provider")
		text := fmt.Sprintf("assigns random domains to %d of %d silos at each start; ngrok's free plan includes only one domain", random, len(silos))
		b.warnings.add(n.at, n.path, text, `domain = "acme.ngrok.app" in [tunnels], or `+instead)
	}
}
