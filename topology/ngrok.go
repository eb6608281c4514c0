package topology

import (
	"slices"
	"strconv"
	"strings"
)

// freeEndpoints is how many endpoints ngrok's plans below pay-as-you-go have at a
// time (github.com/ngrok/ngrok-docs 56a5f99, pricing-limits/free-plan-limits.mdx).
const freeEndpoints = 3

// freeDomains are those of which the free plan has one name, chosen by ngrok
// (domains/index.mdx).
var freeDomains = []string{".ngrok-free.app", ".ngrok-free.dev"}

// freePlan warns of what ngrok's free plan will refuse, before it does. Which plan
// an account has is not known here: only the names of the free one tell.
func (b *builder) freePlan(provider string, tunnels section, silos []*draft) {
	if provider != "ngrok" || len(silos) < 2 {
		return
	}
	var free []*draft
	nameless := 0
	for _, d := range silos {
		if slices.ContainsFunc(freeDomains, func(end string) bool { return strings.HasSuffix(d.Domain, end) }) {
			free = append(free, d)
		}
		if d.Domain == "" {
			nameless++
		}
	}
	const instead = `provider = "local" needs no account`
	if len(free) > 1 {
		text := "is a name of ngrok's free plan, which has one, chosen by ngrok; " + strconv.Itoa(len(free)) + " silos need as many"
		if len(silos) > freeEndpoints {
			text += ", and " + strconv.Itoa(len(silos)) + " endpoints where it has " + strconv.Itoa(freeEndpoints)
		}
		b.warnings.add(free[0].said.valuePlace(), free[0].said.path(), text, instead)
	}
	if nameless > 0 {
		said := tunnels.get("provider")
		b.warnings.add(said.valuePlace(), said.path(), "has to make up the names of "+strconv.Itoa(nameless)+" of "+strconv.Itoa(len(silos))+" silos, new ones at each start; ngrok's free plan has one name in all", `domain = "acme.ngrok.app" in [tunnels], or `+instead)
	}
}
