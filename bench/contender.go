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

// contender is a program that does the work.
type contender struct {
	name string
	// argv writes what the program needs into the trial's directory.
	argv func(*trial, tools) ([]string, error)
	// raw lists the files of one producer's bytes, oldest first.
	raw func(t *trial, name string) ([]string, error)
	// silo: it says when all is ready, and answers silo's commands.
	silo bool
}

func contenders() []contender {
	plain := func(name string, program func(tools) []string) contender {
		return contender{
			name: name,
			argv: func(t *trial, at tools) ([]string, error) {
				return slices.Concat(program(at), []string{strconv.Itoa(t.count), strconv.Itoa(t.port)}, t.stub(at)), nil
			},
			raw: func(t *trial, name string) ([]string, error) {
				return []string{filepath.Join(t.dir, "raw", name+".log")}, nil
			},
		}
	}
	return []contender{
		plain("floor", func(at tools) []string { return []string{at.floor} }),
		plain("floor-sessions", func(at tools) []string { return []string{at.floor, "-s"} }),
		plain("gofan", func(at tools) []string { return []string{at.gofan} }),
		plain("gofan-libraries", func(at tools) []string { return []string{at.gofanFull} }),
		siloWith("none"),
		siloWith("local"),
	}
}

// siloWith is silo with one provider of tunnels.
func siloWith(provider string) contender {
	return contender{
		name: "silo-" + provider, silo: true,
		argv: func(t *trial, at tools) ([]string, error) {
			if err := os.WriteFile(filepath.Join(t.dir, "silo.toml"), topologyText(t, at, provider), 0o600); err != nil {
				return nil, err
			}
			// Sentry's file, without a word of it: the region config is written into a copy of nothing.
			if err := os.WriteFile(filepath.Join(t.dir, "sentry.conf.py"), nil, 0o600); err != nil {
				return nil, err
			}
			return []string{at.silo, "up"}, nil
		},
		raw: siloRaw,
	}
}

func topologyText(t *trial, at tools, provider string) []byte {
	quoted := make([]string, 0, 3)
	for _, word := range t.stub(at) {
		quoted = append(quoted, strconv.Quote(word))
	}
	text := fmt.Appendf(nil, "version = 1\nname = \"bench\"\n[sentry]\ncommand = [%s]\nconfig = \"sentry.conf.py\"\ndialect = \"tuple-id\"\n", strings.Join(quoted, ", "))
	if t.lines > 0 { // a producer serves nothing
		text = append(text, "ready = false\n"...)
	}
	text = fmt.Appendf(text, "[tunnels]\nprovider = %q\n[control]\nport = %d\n", provider, t.port)
	for i := 1; i < t.count; i++ {
		text = fmt.Appendf(text, "[region.%s]\nid = %d\nport = %d\n", siloName(i), i, t.port+i)
	}
	return text
}

// siloName is the name of the i-th silo, also with the floor.
func siloName(i int) string {
	if i == 0 {
		return "control"
	}
	return fmt.Sprintf("r%03d", i)
}

// siloRaw finds NAME.log.N … NAME.log.1, NAME.log below the state directory.
func siloRaw(t *trial, name string) ([]string, error) {
	found, err := filepath.Glob(filepath.Join(t.dir, "state", "*", "logs", name+".log*"))
	age := func(file string) int {
		_, number, _ := strings.Cut(filepath.Base(file), ".log.")
		n, _ := strconv.Atoi(number) // none: the newest
		return n
	}
	slices.SortFunc(found, func(a, b string) int { return age(b) - age(a) })
	return found, err
}

// pick is the contenders that were asked for.
func (b *bench) pick() []contender {
	all := contenders()
	if len(b.only) == 0 {
		return all
	}
	return slices.DeleteFunc(all, func(c contender) bool { return !slices.Contains(b.only, c.name) })
}

// rounds lets every contender have its turn, runs times, in an order of its own
// each time, so that what the machine does besides hits all alike.
func (b *bench) rounds(ctx context.Context, what string, turn func(c contender) (sample, error)) (*table, error) {
	field := b.pick()
	result := newTable(field)
	for round := range b.runs {
		for _, i := range b.dice.Perm(len(field)) {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			fmt.Fprintf(b.talk, "%s, run %d of %d: %s\n", what, round+1, b.runs, field[i].name)
			got, err := turn(field[i])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", field[i].name, err)
			}
			result.add(field[i].name, got)
		}
	}
	return result, nil
}
