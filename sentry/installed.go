package sentry

import (
	"bufio"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// source is a sentry package on disk.
type source struct {
	pkg     string // the directory that Python imports as sentry
	version string // as its metadata say; empty if they do not
}

// isPackage tells Sentry's own package from anything else of that name.
func isPackage(dir string) bool {
	return slices.ContainsFunc([]string{settingsFile, regionFile, cellFile}, func(name string) bool {
		info, err := os.Stat(filepath.Join(dir, filepath.FromSlash(name)))
		return err == nil && info.Mode().IsRegular()
	})
}

// Checkout finds the root of a Sentry source checkout: dir, or the nearest
// directory above it, up to the root of the repository that dir is in.
func Checkout(dir string) (root string, ok bool) {
	for {
		if isPackage(filepath.Join(dir, "src", "sentry")) {
			return dir, true
		}
		if _, err := os.Stat(filepath.Join(dir, ".git")); err == nil {
			return "", false
		}
		above := filepath.Dir(dir)
		if above == dir {
			return "", false
		}
		dir = above
	}
}

var declaredVersion = regexp.MustCompile(`(?m)^\s*(?:version|VERSION)\s*=\s*["']?([0-9][^"'\s]*)`)

// ofCheckout reads a checkout that Checkout found. Its version stands in
// setup.cfg (22.x to 24.x), pyproject.toml (later) or setup.py (earlier).
func ofCheckout(root string) source {
	s := source{pkg: filepath.Join(root, "src", "sentry")}
	for _, name := range []string{"setup.cfg", "pyproject.toml", "setup.py"} {
		content, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			continue
		}
		if m := declaredVersion.FindSubmatch(content); m != nil {
			s.version = string(m[1])
			break
		}
	}
	return s
}

// ofPrefix reads the Sentry that is installed below a Python prefix, such as a
// virtual environment.
func ofPrefix(prefix string) (source, bool) {
	for _, pattern := range []string{
		"lib/python3*/site-packages",
		"lib64/python3*/site-packages", // Fedora's, beside the former
		"lib/python3*/dist-packages",   // Debian's
		"local/lib/python3*/dist-packages",
	} {
		found, err := filepath.Glob(filepath.Join(escapeGlob(prefix), pattern))
		if err != nil {
			continue
		}
		for _, dir := range slices.Backward(found) { // the newest Python first
			if s, ok := ofSitePackages(dir); ok {
				return s, true
			}
		}
	}
	return source{}, false
}

func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// ofSitePackages reads one site-packages directory: a package in it, else where
// an editable installation points to.
func ofSitePackages(dir string) (source, bool) {
	info, version := distInfo(dir)
	if pkg := filepath.Join(dir, "sentry"); isPackage(pkg) {
		return source{pkg: pkg, version: version}, true
	}
	for _, path := range append(directURL(info), pathLines(dir)...) {
		for _, pkg := range []string{filepath.Join(path, "sentry"), filepath.Join(path, "src", "sentry")} {
			if !isPackage(pkg) {
				continue
			}
			s := source{pkg: pkg, version: version}
			if root := filepath.Dir(filepath.Dir(pkg)); filepath.Base(filepath.Dir(pkg)) == "src" {
				if own := ofCheckout(root); own.version != "" {
					s.version = own.version // the metadata are as old as the installation
				}
			}
			return s, true
		}
	}
	return source{}, false
}

var distInfoName = regexp.MustCompile(`^sentry-([0-9][^-]*)\.(?:dist|egg)-info$`)

// distInfo finds sentry's metadata directory and the version in its name.
func distInfo(dir string) (path, version string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", ""
	}
	for _, entry := range entries {
		if m := distInfoName.FindStringSubmatch(entry.Name()); m != nil {
			path, version = filepath.Join(dir, entry.Name()), m[1]
		}
	}
	return path, version
}

// directURL is where a direct_url.json (PEP 610) points to on this machine.
func directURL(info string) []string {
	content, err := os.ReadFile(filepath.Join(info, "direct_url.json"))
	if info == "" || err != nil {
		return nil
	}
	var origin struct {
		URL string `json:"url"`
	}
	if json.Unmarshal(content, &origin) != nil {
		return nil
	}
	if at, err := url.Parse(origin.URL); err == nil && at.Scheme == "file" {
		return []string{at.Path}
	}
	return nil
}

// pathLines are the directories that .pth and .egg-link files add to sys.path.
func pathLines(dir string) []string {
	var all []string
	for _, pattern := range []string{"__editable__*sentry*.pth", "*sentry*.egg-link", "*sentry*.pth", "easy-install.pth"} {
		names, err := filepath.Glob(filepath.Join(escapeGlob(dir), pattern))
		if err != nil {
			continue
		}
		for _, name := range names {
			all = append(all, lines(name)...)
		}
	}
	for i, path := range all {
		if !filepath.IsAbs(path) {
			all[i] = filepath.Join(dir, path)
		}
	}
	return all
}

func lines(name string) []string {
	content, err := os.ReadFile(name)
	if err != nil {
		return nil
	}
	var all []string
	for scan := bufio.NewScanner(strings.NewReader(string(content))); scan.Scan(); {
		if line := strings.TrimSpace(scan.Text()); line != "" && line != "." && !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "import ") {
			all = append(all, line)
		}
	}
	return all
}
