package proc

import "bytes"

// LookupEnv are the values of variables in the environment that a process was
// started with, or else the nearest of its ancestors that has all of them; false
// where none has, or only another user's. Who has overwritten that memory since
// (setproctitle) is passed over. On macOS the kernel hides the environment of
// programs that are part of the system.
func LookupEnv(pid int, names ...string) (values []string, ok bool) {
	for depth := 0; pid > 1 && depth < maxDepth; depth++ {
		if values, ok = assigned(environment(pid), names); ok {
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

// assigned finds variables among the NUL-ended strings of an environment.
func assigned(environ []byte, names []string) ([]string, bool) {
	values := make([]string, len(names))
	has := make([]bool, len(names))
	found := 0
	for entry := range bytes.SplitSeq(environ, []byte{0}) {
		name, value, _ := bytes.Cut(entry, []byte("="))
		for i, wanted := range names {
			if string(name) == wanted && !has[i] {
				values[i], has[i] = string(value), true
				found++
			}
		}
	}
	return values, found == len(names)
}
