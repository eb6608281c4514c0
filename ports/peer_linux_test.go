package ports_test

import (
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
			who, found := ports.Peer(near.LocalAddr(), near.RemoteAddr(), first)
			if !found || who.PID != os.Getpid() || who.Program == "" {
				t.Errorf("%s, %s: %+v, %v", address, name, who, found)
			}
		}
		if err := far.Close(); err != nil {
			t.Fatal(err)
		}
		if who, found := ports.Peer(near.LocalAddr(), near.RemoteAddr(), nil); found {
			t.Errorf("%s: %+v has closed it", address, who)
		}
	}
}

func TestPeerElsewhere(t *testing.T) {
	t.Parallel()
	here, there := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 80}, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 2), Port: 4711}
	for _, remote := range []net.Addr{there, &net.UnixAddr{Name: "@x"}, &net.TCPAddr{}} {
		if who, found := ports.Peer(here, remote, nil); found {
			t.Errorf("%v: %+v", remote, who)
		}
	}
}

func BenchmarkPeer(b *testing.B) {
	near, _ := joined(b, "127.0.0.1:0")
	for name, first := range map[string][]int{"met": {os.Getpid()}, "stranger": nil} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				ports.Peer(near.LocalAddr(), near.RemoteAddr(), first)
			}
		})
	}
}
