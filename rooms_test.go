package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// room is a row of the table in ARCHITECTURE.md: the rooms that a package may import, and
// the external packages that only this room may import.
type room struct {
	rooms []string
	alone []string
}

// house is that table.
var house = map[string]room{
	".":                 {rooms: []string{"cmd"}},
	"cmd":               {rooms: []string{"*"}, alone: []string{"github.com/urfave/cli/v2"}},
	"topology":          {alone: []string{"github.com/pelletier/go-toml/v2", "github.com/pelletier/go-toml/v2/unstable"}},
	"state":             {},
	"templates":         {},
	"sentry":            {rooms: []string{"topology", "templates", "proc"}},
	"ports":             {},
	"traffic":           {},
	"proxy":             {rooms: []string{"traffic"}},
	"tunnels":           {rooms: []string{"proxy", "traffic"}, alone: []string{"golang.ngrok.com/ngrok", "golang.ngrok.com/ngrok/config"}},
	"tunnels/ngroktest": {alone: []string{"golang.ngrok.com/muxado/v2"}},
	"proc":              {alone: []string{"os/exec", "syscall", "golang.org/x/sys/unix", "github.com/creack/pty"}},
	"logs":              {},
	"plan":              {rooms: []string{"topology", "sentry", "state"}},
	"orchestrator":      {rooms: []string{"plan", "topology", "state", "sentry", "ports", "tunnels", "proc", "logs", "traffic"}},
	"api":               {rooms: []string{"orchestrator", "plan", "ports", "sentry", "state", "traffic", "logs"}},
	"devserver":         {},
	"client":            {rooms: []string{"api", "proxy", "sentry", "state", "topology"}},
	"databases":         {rooms: []string{"plan", "sentry", "proc", "state"}},
	"doctor":            {rooms: []string{"topology", "sentry", "state", "ports", "tunnels", "proc", "plan", "orchestrator", "databases"}},
	"scaffold":          {rooms: []string{"sentry", "templates", "topology", "tunnels"}},
	"dashboard":         {rooms: []string{"state"}},
	"wait":              {},
	"files":             {},
	"wait/waittest":     {},
	"console":           {},
	"ui":                {rooms: []string{"state", "topology", "traffic"}, alone: []string{"github.com/charmbracelet/lipgloss"}},
}

// excused lists single files with imports that the table forbids, and the reason.
var excused = map[string][]string{
	"main.go":                 {"syscall"},                          // signal names
	"devserver/signals.go":    {"syscall"},                          // SIGHUP has no name elsewhere
	"doctor/disk.go":          {"golang.org/x/sys/unix"},            // free disk space
	"ports/sockdiag_linux.go": {"golang.org/x/sys/unix"},            // finds a socket's owner over netlink
	"ports/loopback.go":       {"golang.org/x/sys/unix"},            // EADDRINUSE has no name elsewhere
	"proxy/idle.go":           {"golang.org/x/sys/unix", "syscall"}, // peeks at idle connections without blocking
	"ports/holders_linux.go":  {"golang.org/x/sys/unix"},            // readlinkat, to find a socket before its client closes it
	"sentry/owner.go":         {"syscall"},                          // only Stat_t has a file's owner
	"console/console.go":      {"golang.org/x/sys/unix"},            // the terminal's foreground group and SIGWINCH
	"console/keys.go":         {"golang.org/x/sys/unix"},            // polls for keys, and stops on Ctrl-Z
	"console/mode.go":         {"golang.org/x/sys/unix"},            // the terminal's modes
	"console/ioctl_linux.go":  {"golang.org/x/sys/unix"},            // the numbers of requests
	"console/ioctl_darwin.go": {"golang.org/x/sys/unix"},            // as above
	"ui/closed.go":            {"golang.org/x/sys/unix"},            // polls a pipe for a closed reader
}

func TestRooms(t *testing.T) {
	t.Parallel()
	owner, unused := map[string]string{}, map[string]bool{}
	for name, r := range house {
		for _, imported := range r.alone {
			owner[imported] = name
		}
	}
	for file, imports := range excused {
		for _, imported := range imports {
			unused[file+" imports "+imported] = true
		}
	}
	err := filepath.WalkDir(".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (entry.Name() == "testdata" || entry.Name() == "tools" || entry.Name() == "bench" || strings.HasPrefix(entry.Name(), ".") && file != ".") {
			return filepath.SkipDir
		}
		if entry.IsDir() || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		name := path.Dir(filepath.ToSlash(file))
		r, known := house[name]
		if !known {
			t.Errorf("%s: no row for room %q", file, name)
			return nil
		}
		syntax, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range syntax.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			alone, taken := owner[imported]
			if taken && alone != name && slices.Contains(excused[filepath.ToSlash(file)], imported) {
				delete(unused, filepath.ToSlash(file)+" imports "+imported)
				continue
			}
			if inner, ours := strings.CutPrefix(imported, "silo/"); ours {
				if inner != "wait" && inner != "files" && !slices.Contains(r.rooms, inner) && !slices.Contains(r.rooms, "*") {
					t.Errorf("%s: room %s must not import room %s", file, name, inner)
				}
			} else if taken && alone != name {
				t.Errorf("%s: only room %s may import %s", file, alone, imported)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for excuse := range unused {
		t.Errorf("this exception is no longer needed: %s", excuse)
	}
}
