package ports

import (
	"context"
	"net"
	"strconv"
	"time"
)

// dialLimit bounds a look at a port on this machine.
const dialLimit = 200 * time.Millisecond

// busy tells whether somebody takes connections on a port. It is asked before a
// bind, since on macOS one of a loopback address succeeds beside a listener on
// all addresses, and clients would then meet either.
func busy(ctx context.Context, port int) bool {
	dialer := &net.Dialer{Timeout: dialLimit}
	for _, host := range []string{"127.0.0.1", "::1"} {
		conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if err == nil {
			_ = conn.Close() // it was only a question
			return true
		}
	}
	return false
}
