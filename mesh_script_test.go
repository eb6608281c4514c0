package main

import (
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"

	"silo/proc"
	"silo/state"
)

// awaitState waits until the instance is in a state: await-state STATE.
func awaitState(ts *testscript.TestScript, _ bool, args []string) {
	await(ts, args[0], func() bool { return snapshot(ts).State == state.Condition(args[0]) })
}

// awaitSilo waits until a silo is in a state: await-silo SILO STATE.
func awaitSilo(ts *testscript.TestScript, _ bool, args []string) {
	await(ts, args[0]+" "+args[1], func() bool {
		for _, s := range snapshot(ts).Silos {
			if s.Name == args[0] && s.State == state.Phase(args[1]) {
				return true
			}
		}
		return false
	})
}

// end ends a silo's process as its terminal would, and waits until it is gone: end SILO….
func end(ts *testscript.TestScript, _ bool, args []string) {
	for _, text := range pids(ts, args) {
		pid, err := strconv.Atoi(text)
		ts.Check(err)
		ts.Check(syscall.Kill(pid, syscall.SIGINT))
		await(ts, "ended", func() bool { return !proc.Alive(pid, "") })
	}
}

// alive wants processes that were remembered to live, whoever runs: alive SILO….
func alive(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		pid, err := strconv.Atoi(ts.Getenv("PID_" + name))
		ts.Check(err)
		if !proc.Alive(pid, "") {
			ts.Fatalf("%s was process %d, which is gone", name, pid)
		}
	}
}

// given are the ports that free-port has given to any of the scripts, which run
// at once.
var given sync.Map

// freePort sets variables to ports that nobody listens on, all of them different
// and never given twice, and none that the kernel gives away meanwhile: free-port NAME….
// They are asked for a listener, not listened on: a child that another script starts
// would hold a copy of that until it has executed its program.
func freePort(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		for {
			port := 10000 + rand.IntN(9000) // below the range of ephemeral ports, and of edges
			conn, err := net.Dial("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
			if err == nil {
				ts.Check(conn.Close())
				continue
			}
			if _, twice := given.LoadOrStore(port, true); twice {
				continue
			}
			ts.Setenv(name, strconv.Itoa(port))
			break
		}
	}
}

// answers waits until a URL is answered with 200: answers URL.
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
