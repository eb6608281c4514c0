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

// tools are the programs that take part, as absolute paths. other and hivemind may be empty.
type tools struct{ silo, other, hivemind, gofan, goproxy, stub, backend string }

// build compiles all programs into dir.
func build(ctx context.Context, dir, silo, other string) (tools, error) {
	at := func(name string) string { return filepath.Join(dir, name) }
	t := tools{silo: at("silo"), other: other, gofan: at("gofan"), goproxy: at("goproxy"), stub: at("stub"), backend: at("backend")}
	t.hivemind, _ = exec.LookPath("hivemind") // without it, hivemind is left out
	err := errors.Join(
		os.WriteFile(t.stub+".c", stubSource, 0o600),
		compile(ctx, "cc", "-O2", "-Wall", "-o", t.stub, t.stub+".c"),
		os.WriteFile(t.backend+".c", backendSource, 0o600),
		compile(ctx, "cc", "-O2", "-Wall", "-o", t.backend, t.backend+".c"),
		compile(ctx, "go", "build", "-o", t.gofan, "./gofan"),
		compile(ctx, "go", "build", "-o", t.goproxy, "./goproxy"),
	)
	if silo != "" {
		t.silo = silo
		return t, err
	}
	return t, errors.Join(err, compile(ctx, "go", "build", "-C", "..", "-trimpath", "-ldflags", "-s -w", "-o", t.silo, "."))
}

func compile(ctx context.Context, argv ...string) error {
	if text, err := command(ctx, argv...).CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w\n%s", argv, err, text)
	}
	return nil
}

func command(ctx context.Context, argv ...string) *exec.Cmd {
	return exec.CommandContext(ctx, argv[0], argv[1:]...)
}
