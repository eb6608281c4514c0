package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// The variables by which tests find processes: the file where each records its PID, the
// run (missing in a cleared environment), and the test's directory.
const (
	envPIDs    = "CHAOS_PIDS"
	envRun     = "CHAOS_RUN"
	envTestDir = "CHAOS_LANE"
)

// play is a devserver that runs daemons as honcho does, each in its own session. kind sets
// its reaction to SIGTERM: "polite" forwards it and waits, "deaf" ignores it, "hasty" exits
// at once. "rest" only sleeps.
func play(kind string) int {
	if kind == "rest" {
		time.Sleep(1000 * time.Second)
		return 0
	}
	terminate := make(chan os.Signal, 4)
	switch kind {
	case "polite":
		signal.Notify(terminate, syscall.SIGTERM)
	case "deaf":
		signal.Ignore(syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT)
	}
	if err := recordPID(os.Getpid()); err != nil {
		fmt.Println(err)
		return 1
	}
	daemons := daemons()
	for _, d := range daemons {
		if err := d.Start(); err != nil {
			fmt.Println(err)
			return 1
		}
		go func() { _ = d.Wait() }()
	}
	server := &http.Server{
		Addr:    os.Getenv("SENTRY_DEVSERVER_BIND"),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }),
	}
	go func() {
		<-terminate
		for _, d := range daemons {
			_ = d.Process.Signal(syscall.SIGTERM)
		}
		time.Sleep(20 * time.Millisecond) // honcho also waits for its children
		_ = server.Shutdown(context.Background())
	}()
	fmt.Println(server.ListenAndServe())
	return 0
}

// daemons returns processes that are hard to find or to stop.
func daemons() []*exec.Cmd {
	sleep := "sleep 1000"
	if runtime.GOOS == "darwin" {
		sleep = "play rest" // macOS hides the environment of system programs
	}
	kinds := []*exec.Cmd{
		daemon(os.Environ(), "exec "+sleep),
		daemon(os.Environ(), "trap '' TERM HUP INT; exec "+sleep),
		daemon(os.Environ(), sleep+` & echo $! >>"$CHAOS_PIDS"`), // its child becomes an orphan
	}
	if runtime.GOOS == "linux" {
		// It has no marker and has left its session. Only its output pipe identifies it, and
		// only on Linux.
		bare := []string{envPIDs + "=" + os.Getenv(envPIDs), envTestDir + "=" + os.Getenv(envTestDir), "PATH=" + os.Getenv("PATH")}
		kinds = append(kinds, daemon(bare, "trap '' TERM; exec sleep 1000"))
	}
	return kinds
}

// daemon returns a shell that records its PID, in a new session, with the parent's output.
func daemon(env []string, script string) *exec.Cmd {
	cmd := exec.Command("/bin/sh", "-c", `echo $$ >>"$CHAOS_PIDS"; `+script)
	cmd.Env = env
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd
}

func recordPID(pid int) error {
	file, err := os.OpenFile(os.Getenv(envPIDs), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(file, pid)
	return errors.Join(err, file.Close())
}

// readPIDs returns the distinct PIDs in a file.
func readPIDs(file string) []int {
	text, _ := os.ReadFile(file) // missing: no process has started
	var pids []int
	for field := range strings.FieldsSeq(string(text)) {
		var pid int
		if _, err := fmt.Sscan(field, &pid); err == nil && !slices.Contains(pids, pid) {
			pids = append(pids, pid)
		}
	}
	return pids
}
