package main

import (
	"cmp"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"syscall"
	"time"

	"github.com/creack/pty"
	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/term"
)

// types runs a command on a terminal and types there. Each pair of arguments is a pattern,
// which must appear in what follows the last one, and the keys that are typed then, in Go's
// escapes; the keys KILL kill the command. The terminal must be restored at the end:
// types CODE CMD… -- PATTERN KEYS….
func types(ts *testscript.TestScript, _ bool, args []string) {
	at := len(args) - 1
	for args[at] != "--" {
		at--
	}
	cmd := scriptCommand(ts, args[1:at])
	cmd.Env = append(cmd.Env, "TERM="+cmp.Or(ts.Getenv("TERM"), "xterm"), "BROWSER=none", "NO_COLOR=1")
	terminal, screen, err := pty.Open()
	ts.Check(err)
	defer func() { _, _ = terminal.Close(), screen.Close() }()
	ts.Check(pty.Setsize(screen, &pty.Winsize{Rows: 24, Cols: 120}))
	before, err := term.GetState(int(screen.Fd()))
	ts.Check(err)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = screen, screen, screen
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	ts.Check(cmd.Start())
	late := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	read := make(chan []byte)
	go func() { defer close(read); readAll(terminal, read) }()
	var text []byte
	for rest := append(args[at+1:], ""); len(rest) > 1; rest = rest[2:] {
		pattern, err := regexp.Compile("(?s)" + rest[0])
		ts.Check(err)
		for !pattern.Match(text) {
			select {
			case block := <-read:
				text = append(text, block...)
			case <-time.After(20 * time.Second):
				_ = cmd.Process.Kill()
				ts.Fatalf("%v does not show %s, but\n%s", args[1:at], rest[0], text)
			}
		}
		text = text[pattern.FindIndex(text)[1]:]
		if rest[1] == "KILL" {
			ts.Check(cmd.Process.Kill())
			continue
		}
		keys, err := strconv.Unquote(`"` + rest[1] + `"`)
		ts.Check(err)
		_, err = terminal.WriteString(keys)
		ts.Check(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for waiting := true; waiting; {
		select {
		case block := <-read:
			text = append(text, block...)
		case err = <-ended:
			waiting = false
		}
	}
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		ts.Check(err)
	}
	if code := cmd.ProcessState.ExitCode(); args[0] != "any" && args[0] != strconv.Itoa(code) {
		ts.Fatalf("%v exits with %d, not %s:\n%s", args[1:at], code, args[0], text)
	}
	await(ts, "restored terminal", func() bool {
		after, err := term.GetState(int(screen.Fd()))
		ts.Check(err)
		return *after == *before
	})
}

func readAll(file *os.File, blocks chan<- []byte) {
	for {
		block := make([]byte, 4096)
		n, err := file.Read(block)
		if err != nil {
			return
		}
		blocks <- block[:n]
	}
}
