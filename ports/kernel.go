package ports

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
)

// errForbidden is a port that this user may not listen on.
var errForbidden = errors.New("not permitted")

// errNoPort is that chance has not found a free port, or two in a row.
var errNoPort = errors.New("no free port was found")

// kernel is what this machine's kernel says, learnt from ports that nobody else uses.
type kernel struct {
	taken error // of a port that is taken
	ipv6  bool  // there is a ::1
}

// learn asks for a port twice: what comes the second time is how this system
// spells "address in use".
func learn(ctx context.Context) (kernel, error) {
	first, err := listen(ctx, "tcp4", "127.0.0.1", 0)
	if err != nil {
		return kernel{}, err
	}
	defer func() { _ = first.Close() }()
	second, err := listen(ctx, "tcp4", "127.0.0.1", portOf(first))
	if err == nil {
		return kernel{}, errors.Join(fmt.Errorf("port %d can be listened on twice", portOf(first)), second.Close())
	}
	var call *os.SyscallError
	if !errors.As(err, &call) {
		return kernel{}, err
	}
	k := kernel{taken: call.Err}
	if six, err := listen(ctx, "tcp6", "::1", 0); err == nil {
		k.ipv6 = true
		_ = six.Close()
	}
	return k, nil
}

// hold listens on span ports from the first. taken are those that somebody else
// has; then, as with an error, none is held.
func (k kernel) hold(ctx context.Context, first, span int) (listeners []net.Listener, taken []int, err error) {
	for port := first; port < first+span; port++ {
		both, err := k.both(ctx, port)
		switch {
		case errors.Is(err, k.taken):
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

// both listens on both loopback addresses. Where the kernel would not refuse a
// port beside a wildcard listener, busy has found that one.
func (k kernel) both(ctx context.Context, port int) ([]net.Listener, error) {
	if port != 0 && busy(ctx, port) {
		return nil, k.taken
	}
	four, err := listen(ctx, "tcp4", "127.0.0.1", port)
	if err != nil || !k.ipv6 {
		return single(four), err
	}
	six, err := listen(ctx, "tcp6", "::1", portOf(four))
	if err != nil {
		return nil, errors.Join(err, four.Close())
	}
	return []net.Listener{four, six}, nil
}

// single keeps a nil listener out of a slice.
func single(l net.Listener) []net.Listener {
	if l == nil {
		return nil
	}
	return []net.Listener{l}
}

// chances is how often the kernel is asked for a port whose neighbour, or whose
// namesake of the other family, may be taken.
const chances = 100

// quietFirst and quietSpan are where a port that may be any is looked for first:
// below what Linux and macOS give to outgoing connections, one of which may take a
// port between its release and the bind of a devserver, seconds later.
const (
	quietFirst = 10000
	quietSpan  = 10000
)

// holdAny holds span ports of chance's choice, or where it finds none of the
// kernel's.
func (k kernel) holdAny(ctx context.Context, span int) (int, []net.Listener, error) {
	for range chances {
		first := quietFirst + rand.IntN(quietSpan) //nolint:gosec // G404: nobody gains by guessing it
		listeners, taken, err := k.hold(ctx, first, span)
		if err == nil && len(taken) == 0 {
			return first, listeners, nil
		}
		if err != nil && !errors.Is(err, errForbidden) {
			return 0, nil, err
		}
	}
	return k.holdOffered(ctx, span)
}

// holdOffered holds span ports of the kernel's choice.
func (k kernel) holdOffered(ctx context.Context, span int) (int, []net.Listener, error) {
	for range chances {
		listeners, err := k.both(ctx, 0)
		if errors.Is(err, k.taken) {
			continue
		}
		if err != nil {
			return 0, nil, err
		}
		first := portOf(listeners[0])
		var taken []int
		var rest []net.Listener
		if span > 1 {
			rest, taken, err = k.hold(ctx, min(first+1, last), span-1)
		}
		if err == nil && len(taken) == 0 {
			return first, append(listeners, rest...), nil
		}
		if err := errors.Join(err, closeAll(listeners)); err != nil {
			return 0, nil, err
		}
	}
	return 0, nil, errNoPort
}

func listen(ctx context.Context, network, host string, port int) (net.Listener, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	var config net.ListenConfig
	config.SetMultipathTCP(false) // of no use on loopback, and more than a quarter of what a listener costs
	l, err := config.Listen(ctx, network, net.JoinHostPort(host, strconv.Itoa(port)))
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("%w: %w", errForbidden, err)
	}
	return l, err
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
