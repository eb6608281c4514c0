package scaffold

// DemoConfig is the sentry.conf.py of `silo up --demo`, without silo's block. The
// stand-in devserver reads only that block.
const DemoConfig = `# The configuration of silo's demo. No Sentry reads it: the stand-in devserver
# reads only the region config that silo writes here, as it does for a real Sentry.
`

// Demo returns the demo's silo.toml: control and two regions, each run by the
// stand-in devserver of the silo binary at the path self.
func Demo(self, config string) (string, error) {
	return Topology{
		Name: "demo", Command: []string{self, "devserver"}, Config: config, Dialect: "tuple-id",
		Regions: []Region{{Name: "us-west", ID: 1}, {Name: "eu-central", ID: 2}},
	}.Text()
}
