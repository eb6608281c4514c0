package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
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

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"silo": func() { os.Exit(run()) },
		"play": func() { os.Exit(play(os.Args[1])) },
		"loud": func() { os.Exit(loud()) },
		"hang": func() { os.Exit(hang()) },
	})
}

// TestScripts runs testdata/script against the program's own main: real
// processes, real ports, a state directory of each script's own.
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
			env.Defer(func() { sweep(t, env) })
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "interrupted": interrupted, "block-in": blockIn, "wait-ready": waitReady,
			"port-of": portOf, "edit": edit, "kill-supervisor": killSupervisor, "stop-supervisor": stopSupervisor, "kill-guarded": killGuarded, "ngrok": ngrok.ngrok,
			"await-state": awaitState, "await-silo": awaitSilo, "end": end, "alive": alive, "free-port": freePort, "answers": answers, "await-tunnel": awaitTunnel,
			"browses": browses, "remember": remember, "same": same, "other": other, "dead": dead, "unread": unread, "shows": shows,
		},
	})
}

// sweep ends what a failed script left running.
func sweep(t *testing.T, env *testscript.Env) {
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

// exits runs a command that has to end with one exit code: exits CODE CMD….
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

// hang is a devserver that accepts requests and never answers. It creates the file asked
// with the first request.
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

// unread runs a command whose reader goes after its first line, as `| head -1` does,
// and wants it to end by that, without a word: unread CMD….
func unread(ts *testscript.TestScript, _ bool, args []string) {
	reader, writer, err := os.Pipe()
	ts.Check(err)
	defer func() { _ = reader.Close() }()
	var talk bytes.Buffer
	cmd := scriptCommand(ts, args)
	cmd.Stdout, cmd.Stderr = writer, &talk
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
		ts.Fatalf("%s goes on, though nobody reads it", strings.Join(args, " "))
	}
	if talk.Len() > 0 {
		ts.Fatalf("%s says %s", strings.Join(args, " "), talk.String())
	}
}

// blockIn wants a file to hold another one's bytes: block-in FILE BLOCK.
func blockIn(ts *testscript.TestScript, _ bool, args []string) {
	file, block := ts.ReadFile(args[0]), ts.ReadFile(args[1])
	if block == "" || !strings.Contains(file, block) {
		ts.Fatalf("%s does not hold %s:\n%s\n---\n%s", args[0], args[1], file, block)
	}
}

// snapshot is what `silo status --json` prints, with the given flags before it.
func snapshot(ts *testscript.TestScript, flags ...string) state.Snapshot {
	var s state.Snapshot
	_ = ts.Exec("silo", append(flags, "status", "--json")...) // its code is the state's
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &s))
	return s
}

// waitReady waits until the instance is ready.
func waitReady(ts *testscript.TestScript, _ bool, _ []string) {
	await(ts, "ready", func() bool { return snapshot(ts).State == state.InstanceReady })
}

func await(ts *testscript.TestScript, what string, done func() bool) {
	for end := time.Now().Add(30 * time.Second); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			ts.Fatalf("not %s after 30 s", what)
		}
	}
}

// portOf puts a running silo's port in place of @PORT@: port-of TOPOLOGY SILO FILE.
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

// edit changes a byte of silo's block, as a hand would: edit FILE.
func edit(ts *testscript.TestScript, _ bool, args []string) {
	path := ts.MkAbs(args[0])
	data, err := os.ReadFile(path)
	ts.Check(err)
	ts.Check(os.WriteFile(path, bytes.Replace(data, []byte("SENTRY_CONTROL_ADDRESS"), []byte("CONTROL_ADDRESS"), 1), 0o600))
}

// stopSupervisor stops the supervisor, as Ctrl-Z does.
func stopSupervisor(ts *testscript.TestScript, _ bool, _ []string) {
	signalSupervisor(ts, syscall.SIGSTOP)
}

func signalSupervisor(ts *testscript.TestScript, signal syscall.Signal) {
	s := snapshot(ts)
	if s.PID == nil {
		ts.Fatalf("nothing runs")
	}
	ts.Check(syscall.Kill(*s.PID, signal))
}

// killSupervisor kills the supervisor, and waits until it is gone.
func killSupervisor(ts *testscript.TestScript, _ bool, _ []string) {
	signalSupervisor(ts, syscall.SIGKILL)
	await(ts, "killed", func() bool { return snapshot(ts).State == state.InstanceStopped })
}

// remember keeps silos' PIDs for same and other: remember SILO….
func remember(ts *testscript.TestScript, _ bool, args []string) {
	for name, pid := range pids(ts, args) {
		ts.Setenv("PID_"+name, pid)
	}
}

// same wants silos to run in the processes that were remembered.
func same(ts *testscript.TestScript, _ bool, args []string) {
	for name, pid := range pids(ts, args) {
		if before := ts.Getenv("PID_" + name); pid != before {
			ts.Fatalf("%s was process %s, and is %s", name, before, pid)
		}
	}
}

// dead wants the processes that were remembered to be gone: dead SILO….
func dead(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		pid, err := strconv.Atoi(ts.Getenv("PID_" + name))
		ts.Check(err)
		if proc.Alive(pid, "") {
			ts.Fatalf("%s lives on as process %d", name, pid)
		}
	}
}

// other wants silos to run in other processes, and remembers them.
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
