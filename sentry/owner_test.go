package sentry

import (
	"fmt"
	"os"
	"syscall"
	"testing"
)

func owner(t *testing.T, path string) string {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		t.Fatal("no owner")
	}
	return fmt.Sprintf("%d:%d", stat.Uid, stat.Gid)
}
