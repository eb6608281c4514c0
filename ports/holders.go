package ports

// Holder is a process that listens on a port.
type Holder struct {
	PID     int
	Program string // the kernel's short name of it
	Args    string // its command line, cut where it is long
}

// argsMax is how many bytes of a command line a Holder carries.
const argsMax = 300

func cut(text string) string {
	if len(text) <= argsMax {
		return text
	}
	return text[:argsMax] + "…"
}
