package proc

import (
	"bytes"
	"encoding/binary"
)

// environmentOf returns the environment in the result of sysctl kern.procargs2 on
// macOS (xnu, bsd/kern/kern_sysctl.c): the number of arguments as a native 32-bit
// integer, the path of the program, padding of NULs, the arguments and the
// environment, each terminated by a NUL.
func environmentOf(raw []byte) (environ []byte, ok bool) {
	if len(raw) < 4 {
		return nil, false
	}
	count := int32(binary.NativeEndian.Uint32(raw)) //nolint:gosec // G115: the kernel writes an int
	_, rest, ok := bytes.Cut(raw[4:], []byte{0})
	rest = bytes.TrimLeft(rest, "\x00")
	for i := int32(0); ok && i < count; i++ {
		_, rest, ok = bytes.Cut(rest, []byte{0})
	}
	return rest, ok
}
