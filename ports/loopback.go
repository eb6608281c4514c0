package ports

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// hasIPv6 reports whether this machine can listen on ::1.
var hasIPv6 = sync.OnceValue(func() bool {
	l, err := listen(context.Background(), "tcp6", "::1", 0)
	if err == nil {
		_ = l.Close()
	}
	return err == nil
})

// listenSpan listens on span ports starting at first. It returns the ports taken by
// other sockets. If any is taken, or on error, it listens on none.
func listenSpan(ctx context.Context, first, span int) (listeners []net.Listener, taken []int, err error) {
	for port := first; port < first+span; port++ {
		both, err := listenBoth(ctx, port)
		switch {
		case errors.Is(err, unix.EADDRINUSE):
			taken = append(taken, port)
		case err != nil:
			return nil, nil, errors.Join(err, closeAll(listeners))
		}
		listeners = append(listeners, both...)
	}
	if len(taken) > 0 {
		return nil, taken, closeAll(listeners)
	}
	return listeners, nil, nil
}

// listenBoth listens on both loopback addresses.
func listenBoth(ctx context.Context, port int) ([]net.Listener, error) {
	if accepts(ctx, port) {
		return nil, unix.EADDRINUSE
	}
	four, err := listen(ctx, "tcp4", "127.0.0.1", port)
	if err != nil {
		return nil, err
	}
	if !hasIPv6() {
		return []net.Listener{four}, nil
	}
	six, err := listen(ctx, "tcp6", "::1", port)
	if err != nil {
		return nil, errors.Join(err, four.Close())
	}
	return []net.Listener{four, six}, nil
}

// Free ports are chosen below the ephemeral range of Linux and macOS: an outgoing
// connection could take the port between its release and the bind of a devserver,
// seconds later.
const (
	anyFirst = 10000
	anyCount = 10000
	maxTries = 100
)

// listenAny listens on span random ports.
func listenAny(ctx context.Context, span int) (int, []net.Listener, error) {
	for range maxTries {
		first := anyFirst + rand.IntN(anyCount) //nolint:gosec // G404: it need not be unpredictable
		listeners, taken, err := listenSpan(ctx, first, span)
		if err == nil && len(taken) == 0 {
			return first, listeners, nil
		}
		if err != nil && !errors.Is(err, fs.ErrPermission) {
			return 0, nil, err
		}
	}
	return 0, nil, fmt.Errorf("none of %d random ports from %d is free", maxTries, anyFirst)
}

func listen(ctx context.Context, network, host string, port int) (net.Listener, error) {
	if ctx.Err() != nil {
		return nil, fmt.Errorf("listen on port %d: %w", port, context.Cause(ctx))
	}
	var config net.ListenConfig
	config.SetMultipathTCP(false) // of no use on loopback
	return config.Listen(ctx, network, net.JoinHostPort(host, strconv.Itoa(port)))
}

func portOf(l net.Listener) int {
	if addr, ok := l.Addr().(*net.TCPAddr); ok {
		return addr.Port
	}
	return 0
}

func closeAll(listeners []net.Listener) error {
	var err error
	for _, l := range listeners {
		err = errors.Join(err, l.Close())
	}
	return err
}
