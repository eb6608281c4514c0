package templates

// DemoConfig is the sentry.conf.py of `silo up --demo`, before silo's block is
// in it: nothing but the block is read by the stand-in devserver.
const DemoConfig = `# The configuration of silo's demo. No Sentry reads it: the stand-in devserver
# looks for the region config alone, as silo writes it for a real one.
`

// Demo is the topology of the demo: control and two regions, each the stand-in
// devserver that the program at the path self is too.
func Demo(self, config string) (string, error) {
	return Topology{
		Name: "demo", Command: []string{self, "devserver"}, Config: config, Dialect: "tuple-id",
		Regions: []RegionTable{{Name: "us-west", ID: 1}, {Name: "eu-central", ID: 2}},
	}.Text()
}
