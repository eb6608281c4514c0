//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// processesOf returns the PIDs of the processes with mark in their environment.
func processesOf(mark string) (pids []int) {
	folders, _ := filepath.Glob("/proc/[0-9]*") // the pattern is valid
	for _, folder := range folders {
		environ, err := os.ReadFile(filepath.Join(folder, "environ"))
		if err != nil || !bytes.Contains(environ, append([]byte(mark), 0)) {
			continue // it exited, or belongs to another user or run
		}
		if pid, err := strconv.Atoi(filepath.Base(folder)); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// usage is the resource use of processes.
type usage struct {
	processes int
	pss, peak int64 // bytes; peak is the highest RSS of any process
	cpu       time.Duration
	switches  int64 // voluntary context switches
}

// usageOf sums over all processes of a trial except its stubs.
func usageOf(t *trial) (u usage, err error) {
	for _, pid := range processesOf(t.mark) {
		folder := "/proc/" + strconv.Itoa(pid)
		if name, err := os.ReadFile(folder + "/comm"); err != nil || strings.TrimSpace(string(name)) == "stub" {
			continue
		}
		u.processes++
		pss, err := field(folder+"/smaps_rollup", "Pss:")
		if err != nil {
			return u, err
		}
		peak, err := field(folder+"/status", "VmHWM:")
		if err != nil {
			return u, err
		}
		u.pss, u.peak = u.pss+pss*1024, max(u.peak, peak*1024)
		threads, err := filepath.Glob(folder + "/task/[0-9]*")
		if err != nil {
			return u, err
		}
		for _, thread := range threads {
			cpu, switches := ofThread(thread)
			u.cpu, u.switches = u.cpu+cpu, u.switches+switches
		}
	}
	return u, nil
}

// ofThread reads a thread's CPU time (nanoseconds, see Documentation/scheduler/sched-stats.rst)
// and its voluntary context switches.
func ofThread(folder string) (cpu time.Duration, switches int64) {
	if text, err := os.ReadFile(filepath.Join(folder, "schedstat")); err == nil {
		first, _, _ := strings.Cut(string(text), " ")
		n, _ := strconv.ParseInt(first, 10, 64) // always a number
		cpu = time.Duration(n)
	}
	switches, _ = field(filepath.Join(folder, "status"), "voluntary_ctxt_switches:") // 0 for a thread that has exited
	return cpu, switches
}

// cpuOf returns the CPU time of all threads of a process.
func cpuOf(pid int) (total time.Duration) {
	threads, _ := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/[0-9]*") // the pattern is valid
	for _, thread := range threads {
		cpu, _ := ofThread(thread)
		total += cpu
	}
	return total
}

// field returns the number after a name in a file of /proc.
func field(file, name string) (int64, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			return strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
		}
	}
	return 0, fmt.Errorf("%s has no %s", file, name)
}

// machine describes the machine for the head of the report.
func machine() string {
	release, _ := os.ReadFile("/proc/sys/kernel/osrelease") // missing: left blank
	model := "?"
	info, _ := os.ReadFile("/proc/cpuinfo") // missing: left blank
	for line := range strings.Lines(string(info)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			model = strings.TrimSpace(value)
			break
		}
	}
	return fmt.Sprintf("%s, %d × %s, Linux %s, %s", time.Now().Format(time.DateOnly), runtime.NumCPU(), model, strings.TrimSpace(string(release)), runtime.Version())
}

// load returns the load averages over 1, 5 and 15 minutes.
func load() string {
	text, _ := os.ReadFile("/proc/loadavg")
	return strings.Join(strings.Fields(string(text))[:3], " ")
}

// awaitIdle waits until the load has been below 1.5 for 30 s, or b.quiet has passed.
func (b *bench) awaitIdle(ctx context.Context) error {
	const bound, long, look = 1.5, 30 * time.Second, 2 * time.Second
	if b.quiet > 0 {
		fmt.Fprintf(b.progress, "waiting up to %v for a quiet machine\n", b.quiet)
	}
	calm := time.Duration(0)
	for waited := time.Duration(0); calm < long && waited < b.quiet; waited += look {
		one, err := strconv.ParseFloat(strings.Fields(load())[0], 64)
		if err != nil {
			return err
		}
		if calm += look; one >= bound {
			calm = 0
		}
		if !pause(ctx, look) {
			return ctx.Err()
		}
	}
	if b.quiet > 0 && calm < long {
		fmt.Fprintf(b.out, "the machine did not become quiet within %v\n", b.quiet)
	}
	return nil
}
