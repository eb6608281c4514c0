//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// contender is a supervisor under measurement.
type contender struct {
	name string
	// argv writes the contender's config into the trial's directory and returns its command line.
	argv func(*trial) ([]string, error)
	// raw returns the files that hold one producer's bytes, oldest first; nil: it keeps none.
	raw func(t *trial, name string) ([]string, error)
	// silo is the binary, if the contender prints when all is ready and answers silo's commands.
	silo string
}

// contenders returns all that take part. The first one is the base of the ratios.
func (b *bench) contenders() []contender {
	all := []contender{{name: "gofan", argv: gofanArgv, raw: gofanRaw}}
	if b.tools.hivemind != "" {
		all = append(all, contender{name: "hivemind", argv: hivemindArgv})
	}
	for _, provider := range []string{"none", "local"} {
		all = append(all, siloWith(b.tools.silo, "silo-"+provider, provider))
		if b.tools.other != "" {
			all = append(all, siloWith(b.tools.other, "other-"+provider, provider))
		}
	}
	if len(b.only) > 0 {
		all = slices.DeleteFunc(all, func(c contender) bool { return !slices.Contains(b.only, c.name) })
	}
	return all
}

func gofanArgv(t *trial) ([]string, error) {
	return slices.Concat([]string{t.tools.gofan, strconv.Itoa(t.count), strconv.Itoa(t.port)}, t.stub()), nil
}

func gofanRaw(t *trial, name string) ([]string, error) {
	return []string{filepath.Join(t.dir, "raw", name+".log")}, nil
}

func hivemindArgv(t *trial) ([]string, error) {
	var procfile []byte
	for i := range t.count {
		procfile = fmt.Appendf(procfile, "%s: SILO_NAME=%[1]s SENTRY_DEVSERVER_BIND=127.0.0.1:%d exec %s\n", siloName(i), t.port+i, strings.Join(t.stub(), " "))
	}
	file := filepath.Join(t.dir, "Procfile")
	return []string{t.tools.hivemind, file}, os.WriteFile(file, procfile, 0o600)
}

// siloWith is a silo binary with one tunnel provider.
func siloWith(binary, name, provider string) contender {
	return contender{
		name: name, silo: binary, raw: siloRaw,
		argv: func(t *trial) ([]string, error) {
			if err := os.WriteFile(filepath.Join(t.dir, "silo.toml"), topologyText(t, provider), 0o600); err != nil {
				return nil, err
			}
			if err := os.WriteFile(filepath.Join(t.dir, "sentry.conf.py"), nil, 0o600); err != nil {
				return nil, err
			}
			return []string{binary, "up"}, nil
		},
	}
}

func topologyText(t *trial, provider string) []byte {
	quoted := make([]string, 0, 3)
	for _, word := range t.stub() {
		quoted = append(quoted, strconv.Quote(word))
	}
	text := fmt.Appendf(nil, "version = 1\nname = \"bench\"\n[sentry]\ncommand = [%s]\nconfig = \"sentry.conf.py\"\ndialect = \"tuple-id\"\n", strings.Join(quoted, ", "))
	if t.lines > 0 { // a producer does not listen
		text = append(text, "ready = false\n"...)
	}
	text = fmt.Appendf(text, "[tunnels]\nprovider = %q\n[control]\nport = %d\n", provider, t.port)
	for i := 1; i < t.count; i++ {
		text = fmt.Appendf(text, "[region.%s]\nid = %d\nport = %d\n", siloName(i), i, t.port+i)
	}
	return text
}

// siloName returns the name of stub i, the same for every contender.
func siloName(i int) string {
	if i == 0 {
		return "control"
	}
	return fmt.Sprintf("r%03d", i)
}

// siloRaw returns NAME.log.N … NAME.log.1, NAME.log from the state directory.
func siloRaw(t *trial, name string) ([]string, error) {
	found, err := filepath.Glob(filepath.Join(t.dir, "state", "*", "logs", name+".log*"))
	age := func(file string) int {
		_, number, _ := strings.Cut(filepath.Base(file), ".log.")
		n, _ := strconv.Atoi(number) // no number: the newest
		return n
	}
	slices.SortFunc(found, func(a, b string) int { return age(b) - age(a) })
	return found, err
}

// rounds runs each contender once per round, in shuffled order, so that changes of the
// machine's speed affect all alike.
func (b *bench) rounds(ctx context.Context, what string, measure func(c contender) (sample, error)) (*table, error) {
	field := b.contenders()
	result := newTable(field)
	for round := range b.runs {
		for _, i := range b.rng.Perm(len(field)) {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			fmt.Fprintf(b.progress, "%s, run %d of %d: %s\n", what, round+1, b.runs, field[i].name)
			got, err := measure(field[i])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", field[i].name, err)
			}
			result.add(field[i].name, got)
		}
	}
	return result, nil
}
