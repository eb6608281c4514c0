package main

import (
	"os/exec"
	"regexp"
	"syscall"
	"time"

	"github.com/creack/pty"
	"github.com/rogpeppe/go-internal/testscript"
)

// shows runs a command on a terminal until its output matches, then interrupts it and
// expects it to succeed: shows PATTERN CMD….
func shows(ts *testscript.TestScript, _ bool, args []string) {
	pattern, err := regexp.Compile(args[0])
	ts.Check(err)
	cmd := exec.Command(args[1], args[2:]...)
	cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{"PATH", "HOME", "SILO_STATE_DIR", "GORACE"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	cmd.Env = append(cmd.Env, "TERM=xterm")
	terminal, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 120})
	ts.Check(err)
	defer func() { _ = terminal.Close() }()
	late := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	var all []byte
	for chunk := make([]byte, 4096); !pattern.Match(all); {
		n, err := terminal.Read(chunk)
		all = append(all, chunk[:n]...)
		if err != nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			ts.Fatalf("%v does not show %s, but\n%s", args[1:], pattern, all)
		}
	}
	ts.Check(cmd.Process.Signal(syscall.SIGINT))
	ts.Check(cmd.Wait())
}
