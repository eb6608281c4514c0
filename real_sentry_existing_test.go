//go:build realsentry

package main

import (
	"crypto/rand"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

const (
	// realCreateDatabase creates a database beside the one in the configuration.
	realCreateDatabase = `
import psycopg2, sys
settings = {"__file__": sys.argv[2]}
exec(compile(open(sys.argv[2]).read(), sys.argv[2], "exec"), settings)
d = settings["DATABASES"]["default"]
def connect(name):
    c = psycopg2.connect(host=d["HOST"], port=d["PORT"], user=d["USER"], password=d["PASSWORD"], dbname=name)
    c.autocommit = True
    return c.cursor()
connect("postgres").execute('CREATE DATABASE "%s"' % sys.argv[1])
connect(sys.argv[1]).execute("CREATE EXTENSION IF NOT EXISTS citext")
`
	// realMember makes a user the owner of the organization that sentry upgrade creates.
	realMember = `
from sentry.runner import configure
configure()
from django.apps import apps
User, Organization, OrganizationMember = (apps.get_model("sentry", name) for name in ("User", "Organization", "OrganizationMember"))
user = User(username="owner", email="owner@example.com", is_superuser=True, is_staff=True)
user.set_password("secret")
user.save()
organization = Organization.objects.order_by("id").first()
by_id = "user_id" in [f.name for f in OrganizationMember._meta.get_fields()]
OrganizationMember.objects.create(organization=organization, role="owner", **({"user_id": user.id} if by_id else {"user": user}))
print("\n" + organization.slug)
`
	// realMapped prints the regions of all organizations, as control's database has them.
	realMapped = `
from sentry.runner import configure
configure()
from django.apps import apps
print("\nmapped to:", *sorted(set(apps.get_model("sentry", "OrganizationMapping").objects.values_list("region_name", flat=True))))
`
)

// TestRealExistingDatabase runs each release of TestRealSentry with a database as `sentry
// upgrade` leaves it: as a monolith, as silos, and so on. It takes some minutes, and drops
// the database.
func TestRealExistingDatabase(t *testing.T) {
	installed, silo := realSentries(t), buildSilo(t)
	for _, its := range installed {
		t.Run(its.name, func(t *testing.T) {
			e := newEngineer(t, silo, its, "", []string{"--no-watchers"})
			if err := e.choice.Runnable(); err != nil {
				t.Skip(err)
			}
			e.existing("silo_test_" + strings.ToLower(rand.Text()[:8]))
		})
	}
}

// existing uses one database in both modes.
func (e *engineer) existing(base string) {
	name, conf := base+"_shared", filepath.Join(e.dir, "conf", "sentry.conf.py")
	e.original = append(e.original, "\nSENTRY_SINGLE_ORGANIZATION = True\nDATABASES['default']['NAME'] = '"+name+"'\n"...)
	if err := os.WriteFile(conf, e.original, 0o600); err != nil {
		e.Fatal(err)
	}
	e.Cleanup(func() { e.sweep(base) })
	e.command("python", "-c", realCreateDatabase, name, conf)
	e.command("sentry", "upgrade", "--noinput")

	e.run(0, "up", "-d", "--mode", "monolith")
	slug := strings.TrimSpace(e.python("control", realMember))
	slug = slug[strings.LastIndex(slug, "\n")+1:]
	e.pages(slug)
	e.run(0, "down")

	for range 2 { // and there again
		e.run(0, "up", "-d")
		e.run(0, "db", "repair", "--yes")
		if got := e.python("control", realMapped); strings.Contains(got, "--monolith--") {
			e.Fatal(got)
		}
		e.pages(slug)
		e.run(0, "down")
		e.run(0, "up", "-d", "--mode", "monolith")
		e.pages(slug)
		e.run(0, "down")
	}
	e.run(0, "config", "remove")
}

// command runs a program of the release with its own configuration, without silo.
func (e *engineer) command(program string, args ...string) {
	e.Helper()
	var bin string
	for _, entry := range e.env { // the last PATH counts
		if path, ok := strings.CutPrefix(entry, "PATH="); ok {
			bin = filepath.SplitList(path)[0]
		}
	}
	started := time.Now()
	c := exec.CommandContext(e.Context(), filepath.Join(bin, program), args...)
	c.Dir, c.Env = e.dir, append(e.env, "SENTRY_CONF="+filepath.Join(e.dir, "conf"))
	if out, err := c.CombinedOutput(); err != nil {
		e.Fatalf("%s: %v\n%s", program, err, out)
	}
	e.Logf("%-29s %5.1f s", program, time.Since(started).Seconds())
}

var csrfField = regexp.MustCompile(`name="csrfmiddlewaretoken" value="([^"]+)"`)

// pages logs in at control, or at the monolith, and reads pages as a browser would. They
// name the region of each organization that the user is a member of.
func (e *engineer) pages(slug string) {
	e.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		e.Fatal(err)
	}
	base, client := e.status().Silos[0].URL, &http.Client{Jar: jar, Timeout: time.Minute}
	form, code, at := e.page(client.Get(base + "/auth/login/"))
	field := csrfField.FindStringSubmatch(form)
	if code != http.StatusOK || field == nil {
		e.Fatalf("the login page is %d", code)
	}
	login := url.Values{"csrfmiddlewaretoken": {field[1]}, "op": {"login"}, "username": {"owner"}, "password": {"secret"}}
	if _, code, at = e.page(client.PostForm(at, login)); code != http.StatusOK || strings.Contains(at, "login") {
		e.Errorf("the login leads to %s with %d", at, code)
	}
	for _, path := range []string{"/api/client-config/", "/organizations/" + slug + "/issues/"} {
		if _, code, at := e.page(client.Get(base + path)); code != http.StatusOK || !strings.HasSuffix(at, path) {
			e.Errorf("%s leads to %s with %d", path, at, code)
		}
	}
}

// page reads a response, and returns the URL that it came from.
func (e *engineer) page(response *http.Response, err error) (text string, code int, at string) {
	e.Helper()
	if err != nil {
		e.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		e.Fatal(err)
	}
	return string(body), response.StatusCode, response.Request.URL.String()
}
