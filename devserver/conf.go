package devserver

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// confFile is a sentry.conf.py that may change.
type confFile struct {
	path string
}

// findConf follows discover_configs of sentry/runner/settings.py: SENTRY_CONF is
// a directory, or else a file if it is one or is called like one.
func findConf(env func(string) (string, bool)) (confFile, error) {
	path, set := env("SENTRY_CONF")
	if !set {
		path = "~/.sentry"
	}
	if rest, inHome := strings.CutPrefix(path+"/", "~/"); inHome {
		home, _ := env("HOME")
		path = filepath.Join(home, rest)
	}
	info, err := os.Stat(path)
	isFile := err == nil && !info.IsDir()
	if !isFile && !strings.HasSuffix(path, ".py") && !strings.HasSuffix(path, ".conf") {
		path = filepath.Join(path, "sentry.conf.py")
		info, err = os.Stat(path)
	}
	if err != nil || info.IsDir() {
		return confFile{}, refuse("Error: Configuration file does not exist. Use 'sentry init' to initialize the file.")
	}
	return confFile{path: path}, nil
}

// load reads the file as it is now.
func (f confFile) load() (*config, error) {
	src, err := os.ReadFile(f.path)
	if err != nil {
		return nil, fmt.Errorf("read config: %w", err)
	}
	return parseConfig(f.path, string(src))
}

// stamp tells one content of the file from another without reading it. A file
// that is away for a moment has the zero stamp.
func (f confFile) stamp() stamp {
	info, err := os.Stat(f.path)
	if err != nil {
		return stamp{}
	}
	return stamp{info: info}
}

type stamp struct{ info os.FileInfo }

// sameAs also tells a file from one that was renamed over it.
func (s stamp) sameAs(other stamp) bool {
	return s.info != nil && other.info != nil && os.SameFile(s.info, other.info) &&
		s.info.ModTime().Equal(other.info.ModTime()) && s.info.Size() == other.info.Size()
}

// isSyntax tells an error that Python would raise from one that Sentry would.
func isSyntax(err error) bool {
	_, found := errors.AsType[*syntaxError](err)
	return found
}
