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

const least = "version = 1\n[region.us]\nid = 1\n"

// realDir returns a temporary directory without symbolic links in its path.
func realDir(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestLoadFileIsAbsolute(t *testing.T) {
	dir := realDir(t)
	home := lookup(map[string]string{"HOME": dir})
	write(t, filepath.Join(dir, "real", "silo.toml"), []byte(least))
	write(t, filepath.Join(dir, "dotfiles", "acme.toml"), []byte(least))
	link := func(old, fresh string) {
		t.Helper()
		if err := os.Symlink(filepath.Join(dir, old), filepath.Join(dir, fresh)); err != nil {
			t.Fatal(err)
		}
	}
	link("real", "alias")
	if err := os.Mkdir(filepath.Join(dir, "linked"), 0o700); err != nil {
		t.Fatal(err)
	}
	link("dotfiles/acme.toml", "linked/silo.toml")
	t.Chdir(dir)
	for name, c := range map[string]struct{ file, want string }{
		"relative":           {"real/silo.toml", "real/silo.toml"},
		"not clean":          {"./linked/../real//silo.toml", "real/silo.toml"},
		"absolute":           {filepath.Join(dir, "real/silo.toml"), "real/silo.toml"},
		"directory linked":   {"alias/silo.toml", "real/silo.toml"},
		"file linked":        {"linked/silo.toml", "linked/silo.toml"},
		"other name":         {"dotfiles/acme.toml", "dotfiles/acme.toml"},
		"from within a link": {filepath.Join(dir, "alias", "silo.toml"), "real/silo.toml"},
	} {
		t.Run(name, func(t *testing.T) {
			read, err := topology.Load(c.file, home)
			if err != nil {
				t.Fatal(err)
			}
			want := filepath.Join(dir, c.want)
			if read.File != want || read.Dir != filepath.Dir(want) {
				t.Errorf("File %s, Dir %s, want %s", read.File, read.Dir, want)
			}
			if want := filepath.Base(filepath.Dir(want)); read.Name != want {
				t.Errorf("Name %s, want %s", read.Name, want)
			}
		})
	}
}

func TestLoadErrors(t *testing.T) {
	t.Parallel()
	dir := realDir(t)
	unreadableLocal := filepath.Join(dir, "local")
	write(t, filepath.Join(unreadableLocal, "silo.toml"), []byte(least))
	if err := os.Mkdir(filepath.Join(unreadableLocal, topology.LocalFileName), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		file string
		is   error
		text string
	}{
		"no file":              {filepath.Join(dir, "silo.toml"), fs.ErrNotExist, "silo.toml"},
		"no directory":         {filepath.Join(dir, "none", "silo.toml"), fs.ErrNotExist, "none"},
		"a directory":          {dir, nil, dir},
		"local is a directory": {filepath.Join(unreadableLocal, "silo.toml"), nil, topology.LocalFileName},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := topology.Load(c.file, nil)
			var problems topology.Problems
			switch {
			case err == nil, errors.As(err, &problems):
				t.Fatalf("got %v, want an error of the file system", err)
			case c.is != nil && !errors.Is(err, c.is):
				t.Errorf("%v is not %v", err, c.is)
			case !strings.HasPrefix(err.Error(), "read topology: ") || !strings.Contains(err.Error(), c.text):
				t.Errorf("%v does not name %s", err, c.text)
			}
		})
	}
}

func TestLoadLocalOnItsOwn(t *testing.T) {
	t.Parallel()
	file := filepath.Join(realDir(t), topology.LocalFileName)
	write(t, file, []byte("version = 1\n[region.us]\nid = 0\n"))
	_, err := topology.Load(file, lookup(map[string]string{"HOME": "/"}))
	if want := "silo.local.toml:3:6: region.us.id: 0 is outside 1..4095"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s once", err, want)
	}
}

func TestParseTooLarge(t *testing.T) {
	t.Parallel()
	_, err := topology.Parse("/x/silo.toml", []byte(least+strings.Repeat("#\n", 3<<20)), nil, nil)
	if want := "silo.toml:1:1: toml: is larger than 4 MiB"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestParsePolicyTooLarge(t *testing.T) {
	t.Parallel()
	dir := realDir(t)
	write(t, filepath.Join(dir, "policy.yml"), []byte("on_http_request: []\n"+strings.Repeat("#\n", 1<<19)))
	_, err := topology.Parse(filepath.Join(dir, "silo.toml"), []byte("control.traffic_policy = \"policy.yml\"\n"+least), nil, lookup(map[string]string{"HOME": "/h"}))
	if want := "names a file larger than 1048576 bytes"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}

// TestNameOfDirectory covers directories other than acme, which the golden files use.
func TestNameOfDirectory(t *testing.T) {
	t.Parallel()
	for dir, want := range map[string]string{
		"/src/Acme Corp.":              "acme-corp",
		"/src/__x__":                   "x",
		"/":                            "silo",
		"/src/日本":                      "silo",
		"/src/" + manyTimes("ab-", 30): strings.TrimSuffix(manyTimes("ab-", 21), "-"),
	} {
		read, err := topology.Parse(filepath.Join(dir, "silo.toml"), []byte(least), nil, lookup(map[string]string{"HOME": "/h"}))
		if err != nil {
			t.Fatal(err)
		}
		if read.Name != want {
			t.Errorf("in %s: %q, want %q", dir, read.Name, want)
		}
	}
}

func manyTimes(text string, n int) string { return strings.Repeat(text, n) }

func TestSilosControlFirst(t *testing.T) {
	t.Parallel()
	read, err := topology.Parse("/x/silo.toml", []byte(least), nil, lookup(map[string]string{"HOME": "/h"}))
	if err != nil {
		t.Fatal(err)
	}
	silos := read.Silos()
	if len(silos) != 2 || !silos[0].IsControl() || silos[1].IsControl() {
		t.Errorf("%d silos, want control and then a region", len(silos))
	}
}

// TestNoSecrets checks that no problem about a secret shows it.
func TestNoSecrets(t *testing.T) {
	t.Parallel()
	const secret = "hunter2hunter2"
	for _, text := range []string{
		`tunnels.ngrok.authtoken = "${NOPE}` + secret + `"`,
		`tunnels.ngrok.authtoken = ["` + secret + `"]`,
		`tunnels.ngrok = "` + secret + `"`,
		`control.basic_auth = "ada:` + secret + `"`,
		`control.basic_auth = ["` + secret + `"]`,
		`control.url = "https://ada:` + secret + `@example.com/"`,
		`control.domain = "https://ada:` + secret + `@example.com/"`,
		`control.env = { KEY = "${` + secret + ` }" }`,
		`control.env = "` + secret + `"`,
		`control.traffic_policy = """` + secret + "\n\"\"\"",
		`control.traffic_policy = "{` + secret + `"`,
	} {
		_, err := topology.Parse("/x/silo.toml", []byte(text+"\n"+least), nil, lookup(map[string]string{"HOME": "/h"}))
		var problems topology.Problems
		if !errors.As(err, &problems) {
			t.Fatalf("%s: %v", text, err)
		}
		if shown := formatProblems(problems); strings.Contains(shown, secret) {
			t.Errorf("%s: the secret is shown:\n%s", text, shown)
		}
	}
}
