package main

import (
	"encoding/json"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"silo/proc"
	"silo/state"
)

// awaitState waits for a state of the instance: await-state STATE.
func awaitState(ts *testscript.TestScript, _ bool, args []string) {
	awaitSnapshot(ts, args[0], func(s state.Snapshot) bool { return s.State == state.InstanceState(args[0]) })
}

// awaitSnapshot reads snapshots from silo status --watch until one fulfils a condition, for
// up to a minute. It also waits for an instance that does not run yet. what names the
// condition in the failure.
func awaitSnapshot(ts *testscript.TestScript, what string, done func(state.Snapshot) bool) {
	for end := time.Now().Add(time.Minute); !watchSnapshots(ts, end, done); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			ts.Fatalf("not %s within a minute", what)
		}
	}
}

// watchSnapshots reports whether a snapshot fulfilled a condition before the instance ended.
func watchSnapshots(ts *testscript.TestScript, end time.Time, done func(state.Snapshot) bool) bool {
	cmd := scriptCommand(ts, []string{"silo", "status", "--watch", "--json"})
	output, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	timer := time.AfterFunc(time.Until(end), func() { _ = cmd.Process.Kill() })
	defer func() {
		timer.Stop()
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // returns an error, because it was killed
	}()
	for lines := json.NewDecoder(output); ; {
		var s state.Snapshot
		if err := lines.Decode(&s); err != nil {
			return false
		}
		if done(s) {
			return true
		}
	}
}

// awaitSilo waits for a state of a silo: await-silo SILO STATE.
func awaitSilo(ts *testscript.TestScript, _ bool, args []string) {
	await(ts, args[0]+" "+args[1], func() bool {
		for _, s := range snapshot(ts).Silos {
			if s.Name == args[0] && s.State == state.Phase(args[1]) {
				return len(args) == 2 || *s.Managed == (args[2] == "managed")
			}
		}
		return false
	})
}

// killSilo kills the process of a silo: kill-silo SILO.
func killSilo(ts *testscript.TestScript, _ bool, args []string) {
	for _, text := range pids(ts, args) {
		pid, err := strconv.Atoi(text)
		ts.Check(err)
		ts.Check(syscall.Kill(pid, syscall.SIGKILL))
	}
}

// end interrupts the processes of silos and waits until they have exited: end SILO….
func end(ts *testscript.TestScript, _ bool, args []string) {
	for _, text := range pids(ts, args) {
		pid, err := strconv.Atoi(text)
		ts.Check(err)
		ts.Check(syscall.Kill(pid, syscall.SIGINT))
		await(ts, "ended", func() bool { return !proc.Alive(pid, "") })
	}
}

// alive checks that remembered processes still run: alive SILO….
func alive(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		pid, err := strconv.Atoi(ts.Getenv("PID_" + name))
		ts.Check(err)
		if !proc.Alive(pid, "") {
			ts.Fatalf("%s: process %d has exited", name, pid)
		}
	}
}

// usedPorts are the ports that freePort has returned to any script.
var usedPorts sync.Map

// freePort sets variables to free ports, each returned only once: free-port NAME….
// It dials a port instead of listening on it: a child that another script starts at that
// moment would inherit the listener until its exec.
func freePort(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		for {
			port := 10000 + rand.IntN(9000) // below the ephemeral ports and the tunnels'
			conn, err := net.Dial("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
			if err == nil {
				ts.Check(conn.Close())
				continue
			}
			if _, twice := usedPorts.LoadOrStore(port, true); twice {
				continue
			}
			ts.Setenv(name, strconv.Itoa(port))
			break
		}
	}
}

// answers waits until a URL returns 200: answers URL.
func answers(ts *testscript.TestScript, _ bool, args []string) {
	await(ts, args[0], func() bool {
		answer, err := http.Get(args[0])
		if err != nil {
			return false
		}
		_ = answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	})
}
