package ports_test

import (
	"errors"
	"net"
	"os"
	"testing"

	"silo/ports"
)

// joined are both ends of a connection to a listener on an address.
func joined(t testing.TB, address string) (near, far net.Conn) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Skip("no such address here: ", err)
	}
	defer func() { _ = l.Close() }()
	far, err = new(net.Dialer).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if near, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = near.Close(), far.Close() })
	return near, far
}

func TestPeer(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"127.0.0.1:0", "[::1]:0", "127.0.0.2:0"} {
		near, far := joined(t, address)
		for name, first := range map[string][]int{"at once": {1, os.Getpid()}, "after a search": nil} {
			who, err := ports.Peer(near.LocalAddr(), near.RemoteAddr(), first)
			if err != nil || who.PID != os.Getpid() || who.Program == "" {
				t.Errorf("%s, %s: %+v, %v", address, name, who, err)
			}
		}
		if err := far.Close(); err != nil {
			t.Fatal(err)
		}
		if who, err := ports.Peer(near.LocalAddr(), near.RemoteAddr(), nil); !errors.Is(err, ports.ErrGone) {
			t.Errorf("%s: %+v, %v, once it is closed", address, who, err)
		}
	}
}

func TestPeerElsewhere(t *testing.T) {
	t.Parallel()
	here, there := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 80}, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 2), Port: 4711}
	for _, remote := range []net.Addr{there, &net.UnixAddr{Name: "@x"}, &net.TCPAddr{}} {
		if who, err := ports.Peer(here, remote, nil); !errors.Is(err, ports.ErrHidden) {
			t.Errorf("%v: %+v, %v", remote, who, err)
		}
	}
}

func BenchmarkPeer(b *testing.B) {
	near, _ := joined(b, "127.0.0.1:0")
	for name, first := range map[string][]int{"met": {os.Getpid()}, "stranger": nil} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				_, _ = ports.Peer(near.LocalAddr(), near.RemoteAddr(), first)
			}
		})
	}
}
