package main

import (
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"

	"silo/state"
)

// killGuarded kills the supervisor and its guardian, so that the silos keep running:
// kill-guarded.
func killGuarded(ts *testscript.TestScript, _ bool, _ []string) {
	s := snapshot(ts)
	if s.PID == nil {
		ts.Fatalf("the instance is not running")
	}
	ts.Check(syscall.Kill(*s.PID, syscall.SIGSTOP)) // otherwise it would start another guardian
	children, err := exec.Command("pgrep", "-P", strconv.Itoa(*s.PID)).Output()
	ts.Check(err)
	for word := range strings.FieldsSeq(string(children)) {
		pid, err := strconv.Atoi(word)
		ts.Check(err)
		if !slices.ContainsFunc(s.Silos, func(silo state.Silo) bool { return silo.PID != nil && *silo.PID == pid }) {
			ts.Check(syscall.Kill(pid, syscall.SIGKILL))
		}
	}
	ts.Check(syscall.Kill(*s.PID, syscall.SIGKILL))
	await(ts, "killed", func() bool { return snapshot(ts).State == state.InstanceStopped })
}
