//go:build linux

// Command gofan is a minimal supervisor in Go. It starts COUNT stubs, joins their lines on
// stdout, keeps the bytes of each in BENCH_RAW/NAME.log, and stops them on SIGTERM. It
// probes and restarts nothing.
//
//	gofan COUNT PORT STUB serve | produce LINES
package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "gofan:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 4 {
		return fmt.Errorf("usage: gofan COUNT PORT STUB serve | produce LINES")
	}
	count, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	port, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	var children sync.WaitGroup
	join := &joiner{out: os.Stdout}
	for i := range count {
		if err := start(ctx, &children, join, i, port+i, args[2:]); err != nil {
			return err
		}
	}
	<-ctx.Done()
	children.Wait()
	return nil
}

// start starts one stub and a goroutine that reads its output.
func start(ctx context.Context, children *sync.WaitGroup, join *joiner, i, port int, argv []string) error {
	name := "control"
	if i > 0 {
		name = fmt.Sprintf("r%03d", i)
	}
	raw, err := os.OpenFile(filepath.Join(os.Getenv("BENCH_RAW"), name+".log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.Env = append(os.Environ(), "SILO_NAME="+name, "SENTRY_DEVSERVER_BIND=127.0.0.1:"+strconv.Itoa(port))
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	children.Go(func() {
		join.drain(pipe, raw, fmt.Sprintf("%-7s | ", name))
		_ = cmd.Wait() // the signal ended it
	})
	return nil
}

// joiner writes whole lines of several readers to one writer.
type joiner struct {
	mu  sync.Mutex // guards buf and out
	buf []byte
	out io.Writer
}

func (j *joiner) drain(from io.Reader, raw io.Writer, prefix string) {
	block := make([]byte, 64<<10)
	var held []byte
	for {
		n, err := from.Read(block)
		_, _ = raw.Write(block[:n]) // the harness verifies the files
		held = j.join(held, block[:n], prefix)
		if err != nil {
			return
		}
	}
}

// join writes the whole lines of a block and returns the unfinished rest.
func (j *joiner) join(held, block []byte, prefix string) []byte {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.buf = j.buf[:0]
	for {
		end := bytes.IndexByte(block, '\n')
		if end < 0 {
			break
		}
		j.buf = append(append(append(j.buf, prefix...), held...), block[:end+1]...)
		held, block = held[:0], block[end+1:]
	}
	_, _ = j.out.Write(j.buf)
	return append(held, block...)
}
