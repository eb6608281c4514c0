package ports

import (
	"net"
	"os"
	"testing"
)

func TestInodeOn(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		network, address string
		takes            bool // a connection to 127.0.0.1
	}{
		{"tcp4", "127.0.0.1:0", true},
		{"tcp4", "0.0.0.0:0", true},
		{"tcp", "[::]:0", true},
		{"tcp6", "[::1]:0", false},
		{"tcp4", "127.0.0.2:0", false},
	} {
		t.Run(tt.address, func(t *testing.T) {
			t.Parallel()
			l, err := new(net.ListenConfig).Listen(t.Context(), tt.network, tt.address)
			if err != nil {
				t.Skip("no such address here: ", err)
			}
			port := portOf(l)
			inode, err := inodeOn(port)
			own := sockets([]int{os.Getpid()})["socket:["+inode+"]"]
			if got := len(own) > 0; got != tt.takes || len(Silent(port)) > 0 == tt.takes {
				t.Errorf("inodeOn(%d) is %q, %v, this process's own: %v, want %v", port, inode, err, got, tt.takes)
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			if now, _ := inodeOn(port); tt.takes && now == inode {
				t.Errorf("the closed socket %s still listens on %d", inode, port)
			}
		})
	}
}
