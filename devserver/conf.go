package devserver

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// findConf returns the path of sentry.conf.py. It follows discover_configs of
// sentry/runner/settings.py: SENTRY_CONF is a directory, or a file if it exists as
// one or has the name of one.
func findConf(env func(string) (string, bool)) (string, error) {
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
		return "", refuse("Error: Configuration file does not exist. Use 'sentry init' to initialize the file.")
	}
	return path, nil
}

// loadConf parses the file at path.
func loadConf(path string) (*config, error) {
	src, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read config: %w", err)
	}
	return parseConfig(path, string(src))
}

// statConf returns the file's metadata, or nil if the file is missing.
func statConf(path string) os.FileInfo {
	info, err := os.Stat(path)
	if err != nil {
		return nil
	}
	return info
}

// sameFile reports whether two results of statConf describe the same unchanged file. A
// file that was renamed over the other differs.
func sameFile(a, b os.FileInfo) bool {
	return a != nil && b != nil && os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}
