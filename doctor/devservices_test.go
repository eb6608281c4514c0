package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"silo/proc"
)

// checkoutFixture is a fixture in a checkout of Sentry, whose docker and Python print the
// given texts.
func checkoutFixture(t *testing.T, answer, listing, modes string, dockerErr error) *fixture {
	t.Helper()
	b := newFixture(t, head+tail, answer)
	b.file("src/sentry/types/region.py", "class Region:\n", 0o644)
	exec := b.Exec
	b.Exec = func(ctx context.Context, argv []string, dir string, env []string) ([]byte, error) {
		switch {
		case argv[0] == "docker":
			return []byte(listing), dockerErr
		case len(argv) > 2 && strings.Contains(argv[2], "sqlite3"):
			return []byte(modes), nil
		}
		return exec(ctx, argv, dir, env)
	}
	return b
}

func TestDevservices(t *testing.T) {
	t.Parallel()
	down := strings.Replace(answered, `"version": "15.1", "migrated": true}`, `"error": "Connection refused"}`, 1)
	const listing = "sentry-postgres-1\tUp 2 hours (healthy)\nredis-redis-1\tUp 2 hours (unhealthy)\nsnuba-1\tExited (0) 2 days ago\n"
	missing, silent := fmt.Errorf("docker: %w", proc.ErrNotFound), errors.New("exit status 1")
	for name, test := range map[string]struct {
		answer, listing, modes string
		err                    error
		state                  State
		words                  []string
	}{
		"no docker, needed":     {answer: down, err: missing, state: Fail, words: []string{"docker not found in PATH", "install Docker, then devservices up"}},
		"no docker, not needed": {answer: answered, err: missing, state: OK, words: []string{"but Postgres and Redis answer"}},
		"no daemon":             {answer: down, err: silent, state: Fail, words: []string{"daemon does not answer", "start Docker, then devservices up"}},
		"unknown servers":       {answer: "no JSON", err: silent, state: Warn, words: []string{"start Docker"}},
		"not started":           {answer: down, state: Fail, words: []string{"devservices runs no containers", "devservices up"}},
		"own servers":           {answer: answered, state: OK, words: []string{"runs no containers, but Postgres and Redis answer"}},
		"modes":                 {answer: answered, listing: listing, modes: "sentry\tdefault,profiling\tstarted\nsnuba\tdefault\tstarting\n", state: Warn, words: []string{"devservices (sentry: default, profiling; snuba: default, starting) runs 2 containers: sentry-postgres-1, redis-redis-1", "redis-redis-1: Up 2 hours (unhealthy)", "docker logs --tail 50 redis-redis-1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := checkoutFixture(t, test.answer, test.listing, test.modes, test.err)
			b.file("devservices/config.yml", "", 0o644)
			wantCheck(t, b.check("devservices"), test.state, test.words...)
		})
	}
	// A checkout before December 2024 has its own command, without modes.
	b := checkoutFixture(t, answered, "sentry_redis\tUp 2 hours\n", "sentry\tdefault\tstarted\n", nil)
	wantCheck(t, b.check("devservices"), OK, "sentry devservices runs 1 container: sentry_redis")
}
