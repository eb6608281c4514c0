package topology

import (
	"slices"
	"strconv"
	"strings"
)

// freeEndpoints is the number of concurrent endpoints of ngrok's plans below
// pay-as-you-go (github.com/ngrok/ngrok-docs 56a5f99,
// pricing-limits/free-plan-limits.mdx).
const freeEndpoints = 3

// freeDomains are the suffixes of the one domain that ngrok assigns to a free
// account (domains/index.mdx).
var freeDomains = []string{".ngrok-free.app", ".ngrok-free.dev"}

// freePlan warns about limits of ngrok's free plan. The plan of the account is not
// known here; only the domains of the free plan can be recognized.
func (b *builder) freePlan(provider string, tunnels *node, silos []*parsedSilo) {
	if provider != "ngrok" || len(silos) < 2 {
		return
	}
	var free []*parsedSilo
	random := 0
	for _, s := range silos {
		if slices.ContainsFunc(freeDomains, func(suffix string) bool { return strings.HasSuffix(s.Domain, suffix) }) {
			free = append(free, s)
		}
		if s.Domain == "" {
			random++
		}
	}
	count := strconv.Itoa(len(silos))
	const instead = `provider = "local" needs no account`
	if len(free) > 1 {
		text := "is a domain of ngrok's free plan, which includes one domain; " + strconv.Itoa(len(free)) + " silos need one each"
		if len(silos) > freeEndpoints {
			text += ", and " + count + " endpoints instead of " + strconv.Itoa(freeEndpoints)
		}
		b.warnings.add(free[0].domain.at, free[0].domain.path, text, instead)
	}
	if random > 0 {
		n := tunnels.get("provider")
		b.warnings.add(n.at, n.path, "assigns random domains to "+strconv.Itoa(random)+" of "+count+" silos at each start; ngrok's free plan includes only one domain", `domain = "acme.ngrok.app" in [tunnels], or `+instead)
	}
}
