package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"silo/proc"
	"silo/state"
	"silo/tunnels/ngroktest"
)

// parallelTests is the minimum number of tests that run in parallel. Most tests spend
// their time waiting for processes and timeouts.
const parallelTests = 8

func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", strconv.Itoa(max(parallelTests, runtime.GOMAXPROCS(0)))); err != nil {
		panic(err) // the command line can still override it
	}
	testscript.Main(m, map[string]func(){
		"silo": func() { os.Exit(run()) },
		"play": func() { os.Exit(play(os.Args[1])) },
		"loud": func() { os.Exit(loud()) },
		"hang": func() { os.Exit(hang()) },
	})
}

// TestScripts runs testdata/script against the program's main function, with real
// processes and ports and a separate state directory for each script.
func TestScripts(t *testing.T) {
	t.Parallel()
	ngrok := &services{byName: map[string]*ngroktest.Service{}}
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("SILO_STATE_DIR", filepath.Join(env.WorkDir, "state"))
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("GORACE", "atexit_sleep_ms=0")
			env.Defer(func() { endSupervisors(t, env) })
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "interrupted": interrupted, "block-in": blockIn, "wait-ready": waitReady,
			"port-of": portOf, "edit": edit, "kill-supervisor": killSupervisor, "stop-supervisor": stopSupervisor, "kill-guarded": killGuarded, "ngrok": ngrok.ngrok,
			"await-state": awaitState, "await-silo": awaitSilo, "end": end, "kill-silo": killSilo, "alive": alive, "free-port": freePort, "answers": answers, "await-tunnel": awaitTunnel,
			"browses": browses, "remember": remember, "same": same, "other": other, "dead": dead, "unread": unread, "shows": shows, "types": types,
		},
	})
}

// endSupervisors ends the supervisors that a failed script left running.
func endSupervisors(t *testing.T, env *testscript.Env) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(env.WorkDir, "state", "*", "snapshot.json"))
	if err != nil {
		t.Error(err)
	}
	for _, file := range found {
		var s state.Snapshot
		data, err := os.ReadFile(file)
		if err == nil && json.Unmarshal(data, &s) == nil && s.PID != nil && s.State != state.InstanceStopped {
			_ = syscall.Kill(*s.PID, syscall.SIGTERM)
		}
	}
}

// exits runs a command and expects an exit code: exits CODE CMD….
func exits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("%s exits with %d, not %d", strings.Join(args[1:], " "), got, want)
	}
}

// interrupted runs a command, interrupts it once a file exists, and expects exit code 130:
// interrupted FILE CMD….
func interrupted(ts *testscript.TestScript, _ bool, args []string) {
	var output bytes.Buffer
	cmd := scriptCommand(ts, args[1:])
	cmd.Stdout, cmd.Stderr = &output, &output
	ts.Check(cmd.Start())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait() }()
	await(ts, args[0], func() bool {
		select {
		case <-ended:
			ts.Fatalf("%s ended before %s: %s", strings.Join(args[1:], " "), args[0], &output)
		default:
		}
		_, err := os.Stat(ts.MkAbs(args[0]))
		return err == nil
	})
	ts.Check(cmd.Process.Signal(os.Interrupt))
	select {
	case <-ended:
	case <-time.After(30 * time.Second):
		_ = cmd.Process.Kill()
		<-ended
	}
	if code := cmd.ProcessState.ExitCode(); code != 130 {
		ts.Fatalf("%s exits with %d after an interrupt, not 130:\n%s", strings.Join(args[1:], " "), code, &output)
	}
	if !strings.Contains(output.String(), "silo: interrupted\n") {
		ts.Fatalf("%s does not report the interrupt:\n%s", strings.Join(args[1:], " "), &output)
	}
	ts.Check(os.Remove(ts.MkAbs(args[0])))
}

// scriptCommand returns a command with the script's directory and environment.
func scriptCommand(ts *testscript.TestScript, args []string) *exec.Cmd {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{"PATH", "HOME", "SILO_STATE_DIR", "GORACE", "PYTHONPATH"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	return cmd
}

// hang is a devserver that accepts requests and never answers. On the first request it
// creates the file "asked".
func hang() int {
	err := http.ListenAndServe(os.Getenv("SENTRY_DEVSERVER_BIND"), http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if err := os.WriteFile("asked", nil, 0o600); err != nil {
			fmt.Println(err)
		}
		<-r.Context().Done()
	}))
	fmt.Println(err)
	return 1
}

// unread runs a command whose reader exits after the first line, like | head -1. It
// expects exit code 0 and no message: unread CMD….
func unread(ts *testscript.TestScript, _ bool, args []string) {
	reader, writer, err := os.Pipe()
	ts.Check(err)
	defer func() { _ = reader.Close() }()
	var stderr bytes.Buffer
	cmd := scriptCommand(ts, args)
	cmd.Stdout, cmd.Stderr = writer, &stderr
	ts.Check(cmd.Start())
	_ = writer.Close()
	_, err = bufio.NewReader(reader).ReadString('\n')
	_ = reader.Close()
	ended := make(chan struct{})
	var exit error
	go func() { defer close(ended); exit = cmd.Wait() }()
	select {
	case <-ended:
		ts.Check(errors.Join(err, exit))
	case <-time.After(30 * time.Second):
		_ = cmd.Process.Kill()
		<-ended
		ts.Fatalf("%s continues although its reader has exited", strings.Join(args, " "))
	}
	if stderr.Len() > 0 {
		ts.Fatalf("%s prints %s", strings.Join(args, " "), &stderr)
	}
}

// blockIn expects a file to contain the content of another one: block-in FILE BLOCK.
func blockIn(ts *testscript.TestScript, _ bool, args []string) {
	file, block := ts.ReadFile(args[0]), ts.ReadFile(args[1])
	if block == "" || !strings.Contains(file, block) {
		ts.Fatalf("%s does not contain %s:\n%s\n---\n%s", args[0], args[1], file, block)
	}
}

// snapshot returns the output of silo status --json, with the given global flags.
func snapshot(ts *testscript.TestScript, flags ...string) state.Snapshot {
	var s state.Snapshot
	_ = ts.Exec("silo", append(flags, "status", "--json")...) // the exit code depends on the state
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &s))
	return s
}

// waitReady waits until the instance is ready.
func waitReady(ts *testscript.TestScript, _ bool, _ []string) {
	awaitSnapshot(ts, "ready", func(s state.Snapshot) bool { return s.State == state.InstanceReady })
}

// await waits up to 30 s for a condition. what is its description in the failure message.
func await(ts *testscript.TestScript, what string, done func() bool) {
	for end := time.Now().Add(30 * time.Second); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			ts.Fatalf("not %s after 30 s", what)
		}
	}
}

// portOf replaces @PORT@ in a file with a running silo's port: port-of TOPOLOGY SILO FILE.
func portOf(ts *testscript.TestScript, _ bool, args []string) {
	for _, s := range snapshot(ts, "-f", args[0]).Silos {
		if s.Name == args[1] {
			path := ts.MkAbs(args[2])
			text := strings.ReplaceAll(ts.ReadFile(args[2]), "@PORT@", strconv.Itoa(s.Port))
			ts.Check(os.WriteFile(path, []byte(text), 0o600))
			return
		}
	}
	ts.Fatalf("no silo %s", args[1])
}

// edit changes silo's block in a file: edit FILE.
func edit(ts *testscript.TestScript, _ bool, args []string) {
	path := ts.MkAbs(args[0])
	data, err := os.ReadFile(path)
	ts.Check(err)
	ts.Check(os.WriteFile(path, bytes.Replace(data, []byte("SENTRY_CONTROL_ADDRESS"), []byte("CONTROL_ADDRESS"), 1), 0o600))
}

// stopSupervisor stops the supervisor with SIGSTOP, as Ctrl-Z does, and waits until it has
// stopped: its threads run on for a moment.
func stopSupervisor(ts *testscript.TestScript, _ bool, _ []string) {
	pid := strconv.Itoa(signalSupervisor(ts, syscall.SIGSTOP))
	await(ts, "stopped", func() bool {
		state, err := exec.Command("ps", "-o", "state=", "-p", pid).Output()
		return err == nil && strings.HasPrefix(string(state), "T")
	})
}

// signalSupervisor returns the PID of the supervisor.
func signalSupervisor(ts *testscript.TestScript, signal syscall.Signal) int {
	s := snapshot(ts)
	if s.PID == nil {
		ts.Fatalf("nothing is running")
	}
	ts.Check(syscall.Kill(*s.PID, signal))
	return *s.PID
}

// killSupervisor kills the supervisor and waits until it has exited.
func killSupervisor(ts *testscript.TestScript, _ bool, _ []string) {
	signalSupervisor(ts, syscall.SIGKILL)
	await(ts, "killed", func() bool { return snapshot(ts).State == state.InstanceStopped })
}

// remember stores silos' PIDs for same, other and dead: remember SILO….
func remember(ts *testscript.TestScript, _ bool, args []string) {
	for name, pid := range pids(ts, args) {
		ts.Setenv("PID_"+name, pid)
	}
}

// same expects silos to run in the remembered processes: same SILO….
func same(ts *testscript.TestScript, _ bool, args []string) {
	for name, pid := range pids(ts, args) {
		if before := ts.Getenv("PID_" + name); pid != before {
			ts.Fatalf("%s was process %s and is now %s", name, before, pid)
		}
	}
}

// dead expects the remembered processes to have exited: dead SILO….
func dead(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		pid, err := strconv.Atoi(ts.Getenv("PID_" + name))
		ts.Check(err)
		if proc.Alive(pid, "") {
			ts.Fatalf("%s is still alive as process %d", name, pid)
		}
	}
}

// other expects silos to run in new processes, and remembers them: other SILO….
func other(ts *testscript.TestScript, _ bool, args []string) {
	for name, pid := range pids(ts, args) {
		if before := ts.Getenv("PID_" + name); pid == before || pid == "" {
			ts.Fatalf("%s is still process %s", name, before)
		}
		ts.Setenv("PID_"+name, pid)
	}
}

func pids(ts *testscript.TestScript, names []string) map[string]string {
	found := map[string]string{}
	for _, name := range names {
		found[name] = ""
	}
	for _, s := range snapshot(ts).Silos {
		if _, asked := found[s.Name]; asked && s.PID != nil {
			found[s.Name] = strconv.Itoa(*s.PID)
		}
	}
	return found
}
