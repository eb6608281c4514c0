package ports_test

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"silo/ports"
)

// connect returns both ends of a connection to a listener on an address.
func connect(t testing.TB, address string) (near, far net.Conn) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Skip("no such address: ", err)
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

// Not parallel: a child that another test forks also has the connections until it calls
// exec.
func TestPeer(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0", "127.0.0.2:0"} {
		near, far := connect(t, address)
		for name, first := range map[string][]int{"among the first": {1, os.Getpid()}, "after a search": nil} {
			peer, err := ports.Peer(near.LocalAddr(), near.RemoteAddr(), first)
			if err != nil || peer.PID != os.Getpid() || !strings.HasPrefix(peer.Program, "ports.test") {
				t.Errorf("%s, %s: got %+v, %v; want this process", address, name, peer, err)
			}
		}
		if err := far.Close(); err != nil {
			t.Fatal(err)
		}
		if peer, err := ports.Peer(near.LocalAddr(), near.RemoteAddr(), nil); !errors.Is(err, ports.ErrGone) {
			t.Errorf("%s, closed: got %+v, %v; want ErrGone", address, peer, err)
		}
	}
}

// If several processes share the far end, first decides which is returned.
func TestPeerPrefersTheFirst(t *testing.T) {
	t.Parallel()
	near, far := connect(t, "127.0.0.1:0")
	tcp, ok := far.(*net.TCPConn)
	if !ok {
		t.Fatal("not a TCP connection")
	}
	file, err := tcp.File()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	child := exec.Command("sleep", "60") // inherits the connection
	child.ExtraFiles = []*os.File{file}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = child.Wait() }()
	defer func() { _ = child.Process.Kill() }()
	for _, first := range []int{os.Getpid(), child.Process.Pid} {
		if peer, err := ports.Peer(near.LocalAddr(), near.RemoteAddr(), []int{first}); err != nil || peer.PID != first {
			t.Errorf("got %+v, %v; want process %d", peer, err, first)
		}
	}
}

// A connection to an address of this machine does not have to use loopback addresses. Not
// parallel, like TestPeer.
func TestPeerOnAnExternalAddress(t *testing.T) {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range addresses {
		network, ok := address.(*net.IPNet)
		if !ok || network.IP.IsLoopback() || network.IP.To4() == nil {
			continue
		}
		near, _ := connect(t, net.JoinHostPort(network.IP.String(), "0"))
		if peer, err := ports.Peer(near.LocalAddr(), near.RemoteAddr(), nil); err != nil || peer.PID != os.Getpid() {
			t.Errorf("%v: got %+v, %v; want this process", address, peer, err)
		}
		return
	}
	t.Skip("this machine has only loopback addresses")
}

func TestPeerOnAnotherMachineIsHidden(t *testing.T) {
	t.Parallel()
	here, there := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 80}, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 2), Port: 4711}
	for _, remote := range []net.Addr{there, &net.UnixAddr{Name: "@x"}, &net.TCPAddr{}} {
		if peer, err := ports.Peer(here, remote, nil); !errors.Is(err, ports.ErrHidden) {
			t.Errorf("%v: got %+v, %v; want ErrHidden", remote, peer, err)
		}
	}
}

func BenchmarkPeer(b *testing.B) {
	near, _ := connect(b, "127.0.0.1:0")
	for name, first := range map[string][]int{"first": {os.Getpid()}, "search": nil} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				_, _ = ports.Peer(near.LocalAddr(), near.RemoteAddr(), first)
			}
		})
	}
}
