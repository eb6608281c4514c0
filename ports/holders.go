package ports

// Holder is a process that listens on a port or has a connection open.
type Holder struct {
	PID     int
	Program string // the kernel's short name for it
	Args    string // its command line, truncated to 300 bytes
}

const maxArgs = 300

func truncate(args string) string {
	if len(args) <= maxArgs {
		return args
	}
	return args[:maxArgs] + "…"
}
