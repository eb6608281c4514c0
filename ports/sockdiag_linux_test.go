package ports

import (
	"net"
	"net/netip"
	"os"
	"testing"
)

func TestListensOnAnyAddressThatAcceptsLoopback(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		network, address string
		want             bool
	}{
		{"tcp4", "127.0.0.1:0", true},
		{"tcp4", "0.0.0.0:0", true},
		{"tcp", "[::]:0", true},
		{"tcp6", "[::1]:0", false},
		{"tcp4", "127.0.0.2:0", false},
	} {
		t.Run(test.address, func(t *testing.T) {
			t.Parallel()
			l, err := new(net.ListenConfig).Listen(t.Context(), test.network, test.address)
			if err != nil {
				t.Skip("no such address: ", err)
			}
			port := portOf(l)
			if got := Listens(port, os.Getpid()); got != test.want {
				t.Errorf("Listens = %t, want %t", got, test.want)
			}
			if Listens(port, os.Getppid()) {
				t.Error("Listens is true for the parent process")
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			if Listens(port, os.Getpid()) {
				t.Error("Listens is true for a closed socket")
			}
		})
	}
}

// findSocket finds a connection's own end by its addresses.
func TestFindSocketOfAConnection(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	conn, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	local, remote := netip.MustParseAddrPort(conn.LocalAddr().String()), netip.MustParseAddrPort(conn.RemoteAddr().String())
	s, err := findSocket(local, remote)
	if err != nil || int(s.UID) != os.Geteuid() || !hasOpen(os.Getpid(), s.link()) {
		t.Errorf("findSocket = %+v, %v", s, err)
	}
	if hasOpen(os.Getpid(), "socket:[0]") {
		t.Error("hasOpen finds a socket that does not exist")
	}
}
