package topology_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"silo/topology"
)

func TestFind(t *testing.T) {
	t.Parallel()
	root := realDir(t)
	for _, file := range []string{
		"repo/.git/HEAD", "repo/silo.toml", "repo/src/deep/x",
		"repo/sub/silo.toml", "repo/sub/deeper/x",
		"repo/worktree/.git", "repo/worktree/src/x",
		"repo/odd/silo.toml/x",
		"elsewhere/other.toml",
	} {
		write(t, filepath.Join(root, file), nil)
	}
	for name, c := range map[string]struct {
		dir, file string // SILO_FILE
		want      string
		err       error
	}{
		"here":                       {dir: "repo", want: "repo/silo.toml"},
		"in a parent":                {dir: "repo/src/deep", want: "repo/silo.toml"},
		"in the nearest parent":      {dir: "repo/sub/deeper", want: "repo/sub/silo.toml"},
		"not above a work tree":      {dir: "repo/worktree/src", err: topology.ErrNotFound},
		"a directory is none":        {dir: "repo/odd", want: "repo/silo.toml"},
		"none in the root itself":    {dir: "repo/worktree", err: topology.ErrNotFound},
		"no repository":              {dir: "elsewhere", err: topology.ErrNotFound},
		"SILO_FILE":                  {dir: "repo", file: "/elsewhere/other.toml", want: "elsewhere/other.toml"},
		"SILO_FILE from dir":         {dir: "repo/src", file: "../sub/silo.toml", want: "repo/sub/silo.toml"},
		"SILO_FILE names nothing":    {dir: "repo", file: "/elsewhere/none.toml", err: fs.ErrNotExist},
		"SILO_FILE wins, even so":    {dir: "repo", file: "none.toml", err: fs.ErrNotExist},
		"SILO_FILE names no regular": {dir: "repo", file: "/elsewhere", err: errAny},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := map[string]string{}
			if c.file != "" {
				env["SILO_FILE"] = c.file
				if filepath.IsAbs(c.file) {
					env["SILO_FILE"] = filepath.Join(root, c.file)
				}
			}
			got, err := topology.Find(filepath.Join(root, c.dir), lookup(env))
			switch {
			case c.err == nil && (err != nil || got != filepath.Join(root, c.want)):
				t.Errorf("got %s, %v, want %s", got, err, c.want)
			case c.err != nil && (err == nil || got != ""):
				t.Errorf("got %s, %v, want an error", got, err)
			case c.err != nil && !errors.Is(c.err, errAny) && !errors.Is(err, c.err):
				t.Errorf("%v is not %v", err, c.err)
			case c.file != "" && err != nil && !strings.Contains(err.Error(), "SILO_FILE: "):
				t.Errorf("%v does not name SILO_FILE", err)
			}
		})
	}
}

var errAny = errors.New("any error")

func TestFindRelative(t *testing.T) {
	dir := realDir(t)
	write(t, filepath.Join(dir, "silo.toml"), nil)
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Chdir(filepath.Join(dir, "sub"))
	if got, err := topology.Find(".", nil); err != nil || got != filepath.Join(dir, "silo.toml") {
		t.Errorf("got %s, %v", got, err)
	}
}
