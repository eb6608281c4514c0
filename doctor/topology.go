package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"

	"silo/topology"
)

func itoa(n int) string { return strconv.Itoa(n) }

func lookAtTopology(_ context.Context, v *visit, c *Check) {
	var problems topology.Problems
	switch {
	case errors.As(v.Wrong, &problems):
		for _, p := range problems {
			c.add(Fail, p.String(), p.Hint)
		}
		c.add(Fail, several(len(problems), "problem")+" in "+v.File, "mend the file; silo doctor then looks at the rest")
	case v.File == "":
		c.add(Fail, "there is no silo.toml here or in a directory above; what follows is for the defaults", "silo init writes one", "silo up --demo needs none")
	case v.Wrong != nil:
		c.add(Fail, v.Wrong.Error(), "silo init writes one", "-f names another")
	default:
		t := v.Topology
		c.add(OK, fmt.Sprintf("%s: %q, control and %s, tunnels by %s", t.File, t.Name, several(len(t.Regions), "region"), t.Tunnels.Provider))
		for _, p := range t.Warnings {
			c.add(Warn, p.String(), cmp.Or(p.Hint, "mend it in "+v.File))
		}
	}
}
