package proc

import (
	"bytes"
	"strings"
)

// LookupEnv returns the values of variables in the initial environment of a process, or
// of its nearest ancestor that has all of them. It reports false if none does, or if
// the only one belongs to another user. Processes that have overwritten their environment
// (as setproctitle does) are skipped. macOS hides the environment of system programs.
func LookupEnv(pid int, names ...string) (values []string, ok bool) {
	for depth := 0; pid > 1 && depth < maxDepth; depth++ {
		if values, ok = lookup(environment(pid), names); ok {
			return values, true
		}
		info, err := inspect(pid)
		if err != nil {
			return nil, false
		}
		pid = info.PPID
	}
	return nil, false
}

// lookup finds variables in the NUL-terminated strings of an environment.
func lookup(environ []byte, names []string) ([]string, bool) {
	found := map[string]string{}
	for entry := range bytes.SplitSeq(environ, []byte{0}) {
		name, value, _ := strings.Cut(string(entry), "=")
		if _, repeated := found[name]; !repeated { // the first one counts, as in getenv(3)
			found[name] = value
		}
	}
	values := make([]string, len(names))
	for i, name := range names {
		value, ok := found[name]
		if !ok {
			return nil, false
		}
		values[i] = value
	}
	return values, true
}
