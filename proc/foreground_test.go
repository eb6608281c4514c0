package proc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"silo/wait"
	"silo/wait/waittest"
)

func TestForegroundCodes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, test := range []struct {
		argv []string
		want int
		err  error
	}{
		{[]string{"sh", "-c", "exit 0"}, 0, nil},
		{[]string{"sh", "-c", "exit 5"}, 5, nil},
		{[]string{"sh", "-c", "kill -TERM $$"}, 143, nil},
		{[]string{"no-such-program"}, CodeNotFound, ErrNotFound},
		{[]string{dir}, CodeNotExecutable, ErrNotExecutable},
	} {
		code, err := Foreground(t.Context(), test.argv, "", nil, nil, nil, nil)
		if code != test.want || !errors.Is(err, test.err) {
			t.Errorf("%v: %d, %v", test.argv, code, err)
		}
	}
}

func TestForegroundPassesStreams(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	code, err := Foreground(t.Context(), []string{"sh", "-c", `read x; echo "$x $NAME"; echo err >&2`}, "", append(os.Environ(), "NAME=you"), strings.NewReader("hello\n"), &stdout, &stderr)
	if code != 0 || err != nil || stdout.String() != "hello you\n" || stderr.String() != "err\n" {
		t.Errorf("%d, %v, %q, %q", code, err, stdout.String(), stderr.String())
	}
}

func TestForegroundEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reader.Close() }()
	go func() {
		_, _ = reader.Read(make([]byte, 1)) // up
		cancel()
	}()
	code, err := Foreground(ctx, []string{"sh", "-c", `trap "exit 9" TERM; echo; while :; do sleep 0.01; done`}, "", nil, nil, writer, nil)
	_ = writer.Close()
	if code != 9 || err != nil {
		t.Errorf("%d, %v", code, err)
	}
}

// Without a terminal, a signal to this process is passed on to the command.
func TestForegroundForwardsSignals(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"TERM", "INT", "HUP", "USR1"} {
		tr := startTree(t, roleKey+`=foreground exec "$SELF" sh -c 'trap "echo got; exit 9" `+name+`; echo up; while :; do sleep 0.01; done'`)
		tr.output.await(t, "up", 1)
		signal, err := Signal(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.Kill(tr.PID(), signal); err != nil {
			t.Fatal(err)
		}
		if exit := tr.Exit(); exit.Code != 9 || !strings.HasSuffix(tr.output.String(), "got\n") {
			t.Errorf("%s: %v, %q", name, exit, tr.output.String())
		}
		tr.gone(t)
	}
}

func TestDetach(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	log, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	pid, err := Detach([]string{"sh", "-c", `read x; echo "in $?"; echo err >&2; echo $NAME $PWD >&3; exit 3`}, append(os.Environ(), "NAME=me"), "/", log, writer)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = log.Close(), writer.Close()
	text, err := io.ReadAll(reader)
	if err != nil || string(text) != "me /\n" {
		t.Errorf("descriptor 3 got %q, %v", text, err)
	}
	waittest.Until(t, "the detached process is reaped", func() bool {
		_, err := StartTime(pid)
		return err != nil
	})
	if text, err := os.ReadFile(path); err != nil || string(text) != "in 1\nerr\n" {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := Detach([]string{"no-such-program"}, nil, "", nil, nil); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
}

func TestDetachStartsASession(t *testing.T) {
	t.Parallel()
	pid, err := Detach([]string{"sleep", "60"}, nil, "", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	info, err := inspect(pid)
	if err != nil || info.SID != pid || info.PGID != pid {
		t.Errorf("%+v, %v", info, err)
	}
	if err := kill(info, unix.SIGKILL); err != nil {
		t.Error(err)
	}
}

func TestOutput(t *testing.T) {
	t.Parallel()
	out, err := Output(t.Context(), []string{"sh", "-c", "echo out; echo err >&2"}, "", nil)
	if string(out) != "out\n" || err != nil {
		t.Errorf("%q, %v", out, err)
	}
	out, err = Output(t.Context(), []string{"sh", "-c", "echo out; echo why >&2; exit 4"}, "", nil)
	var failed *ExitError
	if string(out) != "out\n" || !errors.As(err, &failed) || failed.Exit.Code != 4 || err.Error() != "sh: exit status 4: why" {
		t.Errorf("%q, %v", out, err)
	}
	out, err = Output(t.Context(), []string{"sh", "-c", "yes | head -c 3000000; yes e | head -c 100000 >&2; exit 1"}, "", nil)
	if len(out) != OutputMax || !errors.As(err, &failed) || len(failed.Stderr) > maxStderr {
		t.Errorf("%d bytes, %v", len(out), err)
	}
	if _, err = Output(t.Context(), []string{"no-such-program"}, "", nil); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
}

// The whole process group is killed, so that no child remains.
func TestOutputEndsWithItsContext(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "pid")
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer cancel()
		for !fileExists(file) && wait.Sleep(t.Context(), 2*time.Millisecond) {
			continue
		}
	}()
	_, err := Output(ctx, []string{"sh", "-c", `trap '' TERM; sleep 60 & echo $! >"$0.new"; mv "$0.new" "$0"; wait`, file}, "", nil)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want context.Canceled", err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	child, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	waittest.Until(t, "the command's child is killed", func() bool { return !Alive(child, "") })
}

// BenchmarkStart starts a child and waits until it exits. Compare it with
// BenchmarkBareStart.
func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		p, err := Start(Spec{Argv: []string{"true"}, Output: io.Discard})
		if err != nil {
			b.Fatal(err)
		}
		<-p.Done()
	}
}

func BenchmarkBareStart(b *testing.B) {
	for b.Loop() {
		if err := exec.Command("true").Run(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkStart100 starts a hundred children and stops them concurrently.
func BenchmarkStart100(b *testing.B) {
	if err := BecomeSubreaper(); err != nil {
		b.Fatal(err)
	}
	var start, stop time.Duration
	for b.Loop() {
		began := time.Now()
		var all []*Process
		for range 100 {
			p, err := Start(Spec{Argv: []string{"sleep", "60"}, Output: io.Discard, Marker: "A=1"})
			if err != nil {
				b.Fatal(err)
			}
			all = append(all, p)
		}
		start += time.Since(began)
		began = time.Now()
		ended := make(chan Result, len(all))
		for _, p := range all {
			go func() { ended <- p.Stop(context.Background(), "TERM", time.Second, nil) }()
		}
		for range all {
			if result := <-ended; result.Killed || result.Swept > 0 {
				b.Error(fmt.Sprint(result))
			}
		}
		stop += time.Since(began)
	}
	b.ReportMetric(float64(start.Microseconds())/1000/float64(b.N), "start-ms")
	b.ReportMetric(float64(stop.Microseconds())/1000/float64(b.N), "stop-ms")
}

func BenchmarkBareStart100(b *testing.B) {
	for b.Loop() {
		var all []*exec.Cmd
		began := time.Now()
		for range 100 {
			cmd := exec.Command("sleep", "60")
			cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true}
			if err := cmd.Start(); err != nil {
				b.Fatal(err)
			}
			all = append(all, cmd)
		}
		b.ReportMetric(float64(time.Since(began).Microseconds())/1000, "start-ms")
		began = time.Now()
		for _, cmd := range all {
			_ = cmd.Process.Signal(unix.SIGTERM)
		}
		for _, cmd := range all {
			_ = cmd.Wait()
		}
		b.ReportMetric(float64(time.Since(began).Microseconds())/1000, "stop-ms")
	}
}
