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

// What the tests tell processes by: the file where each notes its PID, the run,
// which who clears his environment does not show, and the test, which all show.
const (
	playPIDs   = "CHAOS_PIDS"
	playMarker = "CHAOS_RUN"
	playLane   = "CHAOS_LANE"
)

// play is a devserver that runs its daemons as honcho does, each in a session of
// its own. Its argument is its manner when it is told to go: "polite" passes TERM
// on and waits, "deaf" ignores it, "hasty" dies at once. One that is to "rest" is
// a mere daemon.
func play(manner string) int {
	if manner == "rest" {
		time.Sleep(1000 * time.Second)
		return 0
	}
	told := make(chan os.Signal, 4)
	switch manner {
	case "polite":
		signal.Notify(told, syscall.SIGTERM)
	case "deaf":
		signal.Ignore(syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT)
	}
	if err := notePID(os.Getpid()); err != nil {
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
		<-told
		for _, d := range daemons {
			_ = d.Process.Signal(syscall.SIGTERM)
		}
		time.Sleep(20 * time.Millisecond) // as honcho, for its children
		_ = server.Shutdown(context.Background())
	}()
	fmt.Println(server.ListenAndServe())
	return 0
}

// daemons are of the kinds that are left behind.
func daemons() []*exec.Cmd {
	sleep := "sleep 1000"
	if runtime.GOOS == "darwin" {
		sleep = "play rest" // the kernel hides the environment of the system's own programs
	}
	kinds := []*exec.Cmd{
		daemon(os.Environ(), "exec "+sleep),
		daemon(os.Environ(), "trap '' TERM HUP INT; exec "+sleep),
		daemon(os.Environ(), sleep+` & echo $! >>"$CHAOS_PIDS"`), // its child is nobody's
	}
	if runtime.GOOS == "linux" {
		// It shows no marker of silo's and has left its session: the pipe betrays it,
		// which only Linux can tell.
		bare := []string{playPIDs + "=" + os.Getenv(playPIDs), playLane + "=" + os.Getenv(playLane), "PATH=" + os.Getenv("PATH")}
		kinds = append(kinds, daemon(bare, "trap '' TERM; exec sleep 1000"))
	}
	return kinds
}

// daemon is a shell that notes its PID, in a session of its own, on the leader's output.
func daemon(env []string, script string) *exec.Cmd {
	cmd := exec.Command("/bin/sh", "-c", `echo $$ >>"$CHAOS_PIDS"; `+script)
	cmd.Env = env
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd
}

func notePID(pid int) error {
	file, err := os.OpenFile(os.Getenv(playPIDs), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(file, pid)
	return errors.Join(err, file.Close())
}

// notedPIDs are the PIDs in a file, each once.
func notedPIDs(file string) []int {
	text, _ := os.ReadFile(file) // none yet: nobody has started
	var pids []int
	for field := range strings.FieldsSeq(string(text)) {
		var pid int
		if _, err := fmt.Sscan(field, &pid); err == nil && !slices.Contains(pids, pid) {
			pids = append(pids, pid)
		}
	}
	return pids
}
