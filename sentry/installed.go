package sentry

import (
	"cmp"
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
	version string // from its metadata; may be empty
}

// installed finds the sentry package that the command imports, without running it.
func (f Finder) installed() (source, bool) {
	if file, ok := f.Executable(); ok {
		if s, ok := f.packageOf(file); ok {
			return s, true
		}
	}
	if root, ok := Checkout(f.Dir); ok {
		return readCheckout(root), true
	}
	for _, prefix := range f.environments() {
		if s, ok := readPrefix(prefix); ok {
			return s, true
		}
	}
	return source{}, false
}

// MissingNodePackages returns the directory of the Node packages that devserver's
// watchers run (conf/server.py, NODE_MODULES_ROOT, all releases), and reports whether a
// Sentry was found but that directory does not exist.
func (f Finder) MissingNodePackages() (dir string, missing bool) {
	s, ok := f.installed()
	if !ok {
		return "", false
	}
	dir = filepath.Join(filepath.Dir(filepath.Dir(s.pkg)), "node_modules")
	_, err := os.Stat(dir)
	return dir, err != nil
}

// packageOf reads the sentry package that a program imports. The interpreter's path is
// not resolved first, because the python of a virtual environment links to one outside.
func (f Finder) packageOf(file string) (source, bool) {
	candidates := []string{file}
	if interpreter, ok := f.interpreter(file); ok {
		candidates = slices.Insert(candidates, 0, interpreter)
	}
	if target, err := filepath.EvalSymlinks(file); err == nil {
		candidates = append(candidates, target)
	}
	for _, candidate := range candidates {
		if s, ok := readPrefix(filepath.Dir(filepath.Dir(candidate))); ok {
			return s, true
		}
	}
	return source{}, false
}

// isPackage reports whether a directory is Sentry's package rather than another one of
// that name.
func isPackage(dir string) bool {
	return slices.ContainsFunc([]string{settingsFile, regionFile, cellFile}, func(name string) bool {
		info, err := os.Stat(filepath.Join(dir, filepath.FromSlash(name)))
		return err == nil && info.Mode().IsRegular()
	})
}

// Checkout finds the root of a Sentry source checkout: dir, or the nearest
// directory above it, up to the root of the repository of dir.
func Checkout(dir string) (root string, ok bool) {
	for {
		if isPackage(filepath.Join(dir, "src", "sentry")) {
			return dir, true
		}
		_, err := os.Stat(filepath.Join(dir, ".git"))
		parent := filepath.Dir(dir)
		if err == nil || parent == dir {
			return "", false
		}
		dir = parent
	}
}

var declaredVersion = regexp.MustCompile(`(?m)^\s*(?:version|VERSION)\s*=\s*["']?([0-9][^"'\s]*)`)

// readCheckout reads a checkout that Checkout found. Its version is in setup.cfg
// (22.x to 24.x), pyproject.toml (later) or setup.py (earlier).
func readCheckout(root string) source {
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

// readPrefix reads the Sentry that is installed below a Python prefix, such as a
// virtual environment.
func readPrefix(prefix string) (source, bool) {
	for _, pattern := range []string{
		"lib/python3*/site-packages",
		"lib64/python3*/site-packages", // Fedora also uses this one
		"lib/python3*/dist-packages",   // Debian
		"local/lib/python3*/dist-packages",
	} {
		for _, dir := range slices.Backward(glob(prefix, pattern)) { // the newest Python first
			if s, ok := readSitePackages(dir); ok {
				return s, true
			}
		}
	}
	return source{}, false
}

var globMeta = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`)

// glob returns the files below dir that match a valid pattern.
func glob(dir, pattern string) []string {
	found, _ := filepath.Glob(filepath.Join(globMeta.Replace(dir), pattern)) // fails only for invalid patterns
	return found
}

// readSitePackages reads the sentry package in a site-packages directory, or the
// one that an editable installation points to.
func readSitePackages(dir string) (source, bool) {
	info, version := distInfo(dir)
	if pkg := filepath.Join(dir, "sentry"); isPackage(pkg) {
		return source{pkg: pkg, version: version}, true
	}
	for _, path := range append(directURL(info), pathEntries(dir)...) {
		for _, pkg := range []string{filepath.Join(path, "sentry"), filepath.Join(path, "src", "sentry")} {
			if !isPackage(pkg) {
				continue
			}
			s := source{pkg: pkg, version: version}
			if src := filepath.Dir(pkg); filepath.Base(src) == "src" { // the metadata are as old as the installation
				s.version = cmp.Or(readCheckout(filepath.Dir(src)).version, version)
			}
			return s, true
		}
	}
	return source{}, false
}

var distInfoName = regexp.MustCompile(`^sentry-([0-9][^-]*)\.(?:dist|egg)-info$`)

// distInfo finds sentry's metadata directory, and the version in its name.
func distInfo(dir string) (path, version string) {
	for _, path := range slices.Backward(glob(dir, "sentry-*-info")) {
		if m := distInfoName.FindStringSubmatch(filepath.Base(path)); m != nil {
			return path, m[1]
		}
	}
	return "", ""
}

// directURL returns the local path in a direct_url.json (PEP 610).
func directURL(info string) []string {
	if info == "" {
		return nil
	}
	content, err := os.ReadFile(filepath.Join(info, "direct_url.json"))
	if err != nil {
		return nil
	}
	var origin struct {
		URL string `json:"url"`
	}
	if json.Unmarshal(content, &origin) != nil {
		return nil
	}
	if u, err := url.Parse(origin.URL); err == nil && u.Scheme == "file" {
		return []string{u.Path}
	}
	return nil
}

// pathEntries are the directories that .pth and .egg-link files add to sys.path,
// and the other lines of these files, which name no directory.
func pathEntries(dir string) []string {
	var all []string
	for _, pattern := range []string{"__editable__*sentry*.pth", "*sentry*.egg-link", "*sentry*.pth", "easy-install.pth"} {
		for _, file := range glob(dir, pattern) {
			content, err := os.ReadFile(file)
			if err != nil {
				continue
			}
			for line := range strings.Lines(string(content)) {
				if line = strings.TrimSpace(line); !filepath.IsAbs(line) {
					line = filepath.Join(dir, line)
				}
				all = append(all, line)
			}
		}
	}
	return all
}
