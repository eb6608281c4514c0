//go:build linux

package main

import (
	"context"
	_ "embed" // the C sources
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

//go:embed native/stub.c
var stubSource []byte

//go:embed native/backend.c
var backendSource []byte

//go:embed native/floor.c
var floorSource []byte

// tools are the programs that take part, as absolute paths.
type tools struct{ silo, gofan, gofanFull, goproxy, empty, stub, backend, floor string }

// build makes all programs in dir, so that none is left behind and none is old.
func build(ctx context.Context, dir, silo string) (tools, error) {
	at := func(name string) string { return filepath.Join(dir, name) }
	t := tools{silo: at("silo"), gofan: at("gofan"), gofanFull: at("gofan-full"), goproxy: at("goproxy"), empty: at("empty"), stub: at("stub"), backend: at("backend"), floor: at("floor")}
	err := errors.Join(
		os.WriteFile(t.stub+".c", stubSource, 0o600),
		os.WriteFile(t.floor+".c", floorSource, 0o600),
		tool(ctx, "cc", "-O2", "-Wall", "-o", t.stub, t.stub+".c"),
		os.WriteFile(t.backend+".c", backendSource, 0o600),
		tool(ctx, "cc", "-O2", "-Wall", "-o", t.backend, t.backend+".c"),
		tool(ctx, "cc", "-O2", "-Wall", "-o", t.floor, t.floor+".c"),
		tool(ctx, "go", "build", "-o", t.gofan, "silo/bench/gofan"),
		tool(ctx, "go", "build", "-tags", "libraries", "-o", t.gofanFull, "silo/bench/gofan"),
		tool(ctx, "go", "build", "-o", t.goproxy, "silo/bench/goproxy"),
		tool(ctx, "go", "build", "-o", t.empty, "silo/bench/empty"),
	)
	if silo != "" {
		t.silo = silo
		return t, err
	}
	return t, errors.Join(err, tool(ctx, "go", "build", "-o", t.silo, "silo"))
}

func tool(ctx context.Context, argv ...string) error {
	if text, err := command(ctx, argv...).CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w\n%s", argv, err, text)
	}
	return nil
}

// command is the one place where the harness names a program to run.
func command(ctx context.Context, argv ...string) *exec.Cmd {
	return exec.CommandContext(ctx, argv[0], argv[1:]...) //nolint:forbidigo,gosec // room proc is what is being measured
}
