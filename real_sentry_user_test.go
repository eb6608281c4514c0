//go:build realsentry

package main

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"silo/state"
)

// nobody is the user for tests without root privileges if the tests run as root.
const nobody = 65534

// stepDown runs the rest of the test as a user without root privileges.
func (e *engineer) stepDown(its installedSentry) {
	e.Helper()
	if e.uid != 0 {
		return
	}
	e.uid = nobody
	home := filepath.Join(e.dir, "home")
	if err := os.Mkdir(home, 0o700); err != nil {
		e.Fatal(err)
	}
	e.env = append(e.env, "HOME="+home)
	for _, own := range []string{e.dir, e.runtime} {
		err := filepath.WalkDir(own, func(file string, _ fs.DirEntry, err error) error {
			return errors.Join(err, os.Lchown(file, nobody, nobody))
		})
		if err != nil {
			e.Fatal(err)
		}
	}
	// Other users cannot access the directories of the test and of the program.
	for _, inner := range []string{e.dir, filepath.Dir(e.silo)} {
		if err := os.Chmod(filepath.Dir(inner), 0o711); err != nil {
			e.Fatal(err)
		}
	}
	e.reaches(its)
}

// reaches skips a release that only root can run, because its interpreter is in root's
// home.
func (e *engineer) reaches(its installedSentry) {
	e.Helper()
	program := filepath.Join(its.venv, "bin", "sentry")
	c := exec.Command(program, "--version")
	c.Dir, c.Env, c.SysProcAttr = e.dir, e.env, e.as()
	out, err := c.CombinedOutput()
	if errors.Is(err, fs.ErrPermission) {
		python, _ := filepath.EvalSymlinks(filepath.Join(its.venv, "bin", "python"))
		e.Skipf("%v: user %d cannot run its interpreter, %s", err, e.uid, python)
	}
	if err != nil {
		e.Fatalf("%s --version as user %d: %v: %s", program, e.uid, err, out)
	}
}

// as returns the attributes to run a program as the engineer's user, without supplementary
// groups.
func (e *engineer) as() *syscall.SysProcAttr {
	if e.uid == os.Getuid() {
		return nil
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
}

// owns checks that all processes of the instance belong to the engineer's user.
func (e *engineer) owns(s state.Snapshot) {
	e.Helper()
	tree := e.tree(*s.PID)
	for _, silo := range s.Silos {
		if silo.PID == nil || !slices.ContainsFunc(tree, func(p process) bool { return p.pid == strconv.Itoa(*silo.PID) }) {
			e.Errorf("%s is not a descendant of the supervisor: %+v", silo.Name, silo)
		}
	}
	for _, p := range tree {
		if p.user != strconv.Itoa(e.uid) {
			e.Errorf("process of another user than %d: %s", e.uid, p.line)
		}
	}
}
