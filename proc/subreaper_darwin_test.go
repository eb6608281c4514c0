package proc

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// becomeSubreaper skips the test.
func becomeSubreaper(t *testing.T) {
	t.Helper()
	t.Skip("orphans go to launchd on macOS")
}

func TestInfoOf(t *testing.T) {
	t.Parallel()
	k := unix.KinfoProc{}
	k.Proc.P_pid, k.Eproc.Ppid, k.Eproc.Pgid = 1<<30, 7, 9
	k.Proc.P_starttime = unix.Timeval{Sec: 12, Usec: 34}
	k.Proc.P_stat = zombie
	copy(k.Proc.P_comm[:], "python3")
	if got, want := infoOf(&k), (Info{PID: 1 << 30, PPID: 7, PGID: 9, StartTime: "12.000034", State: "Z", Name: "python3"}); got.PID != want.PID || got.PPID != want.PPID || got.PGID != want.PGID || got.StartTime != want.StartTime || got.State != want.State || got.Name != want.Name {
		t.Errorf("got %+v", got)
	}
	self, err := inspect(os.Getpid())
	if err != nil || self.PPID != os.Getppid() {
		t.Errorf("%+v, %v", self, err)
	}
	if _, there := readAll(1)[os.Getpid()]; !there {
		t.Error("readAll does not include this process")
	}
}
