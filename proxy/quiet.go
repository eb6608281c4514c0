package proxy

import "syscall"

// quiet tells whether an idle wire has neither been closed by the silo nor said
// anything that nobody asked for (a 408 before the close, RFC 9110, section
// 15.5.9). It asks the kernel and does not wait.
func (w *wire) quiet() bool {
	raw, ok := w.conn.(syscall.Conn)
	if !ok {
		return true
	}
	conn, err := raw.SyscallConn()
	if err != nil {
		return false
	}
	silent := false
	var one [1]byte
	err = conn.Read(func(fd uintptr) bool {
		_, err := syscall.Read(int(fd), one[:])
		silent = err == syscall.EAGAIN
		return true
	})
	return err == nil && silent
}
