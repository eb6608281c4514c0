package logs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"silo/wait/waittest"
)

// The disk fills up and then has free space again.
func TestRealFullDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := syscall.Mount("silo-test", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("needs root and the right to mount a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	ballast := dir + "/ballast"
	if err := os.WriteFile(ballast, make([]byte, 128<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	w := open(t, dir, "us", Limits{})
	var reports []*LossError
	w.OnError = func(err error) {
		var loss *LossError
		if !errors.As(err, &loss) || !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
		reports = append(reports, loss)
	}
	n, written := 0, 0
	writeLine := func() {
		line := fmt.Sprintf("line %d %s\n", n, strings.Repeat("z", n%1000))
		write(t, w, line)
		n, written = n+1, written+len(line)
	}
	for written < 512<<10 {
		writeLine()
	}
	if len(reports) != 1 || reports[0].Over {
		t.Fatalf("%d reports of a full disk, want one", len(reports))
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	for deadline := time.After(waittest.Limit); len(reports) < 2; {
		select {
		case <-deadline:
			t.Fatalf("no report within %v after there was space again", waittest.Limit)
		case <-time.After(10 * time.Millisecond):
			writeLine()
		}
	}
	closeWriter(t, w)
	whole := bytes.Join(rawFiles(t, dir), nil)
	// The kept and the lost bytes add up; each gap may have added a newline.
	if extra := int64(len(whole)) + reports[1].Bytes - int64(written); !reports[1].Over || extra < 0 || extra > 100 {
		t.Fatalf("%d bytes kept and %d lost of %d", len(whole), reports[1].Bytes, written)
	}
	for line := range strings.Lines(string(whole)) {
		var i int
		if _, err := fmt.Sscanf(line, "line %d", &i); err == nil && strings.Count(line, "line") > 1 {
			t.Fatalf("two lines look like one: %q", line)
		}
	}
	if !strings.HasSuffix(string(whole), fmt.Sprintf("line %d %s\n", n-1, strings.Repeat("z", (n-1)%1000))) {
		t.Fatalf("the last line is missing: %q", whole[len(whole)-50:])
	}
}
