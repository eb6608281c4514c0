package ports

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestListening(t *testing.T) {
	t.Parallel()
	text := `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 111 1 0000000000000000 100 0 0 10 0
   3: 00000000000000000000000000000000:1F40 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 444 1 0000000000000000 100 0 0 10 0
   4: 0100007F:1F41 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 555 1 0000000000000000 100 0 0 10 0
   1: 0100007F:1F40 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 222 1 0000000000000000 20 4 30 10 -1
   2: 0100007F:C350 0100007F:1F40 01 00000000:00000000 00:00000000 00000000     0        0 333 1 0000000000000000 20 4 30 10 -1
   5: 0100007F:1F40 cut off
`
	file := filepath.Join(t.TempDir(), "tcp")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	find := func(port, enough int) (inodes []string) {
		listening(file, port, func(inode string) bool {
			inodes = append(inodes, inode)
			return len(inodes) < enough
		})
		return inodes
	}
	for _, test := range []struct {
		port, enough int
		want         []string
	}{
		{8000, 9, []string{"111", "444"}}, {8000, 1, []string{"111"}}, {8001, 9, []string{"555"}}, {80, 9, nil}, {50000, 9, nil},
	} {
		if got := find(test.port, test.enough); !slices.Equal(got, test.want) {
			t.Errorf("port %d: got %v, want %v", test.port, got, test.want)
		}
	}
	listening(file+"6", 8000, func(string) bool {
		t.Error("found in no file")
		return true
	})
}
