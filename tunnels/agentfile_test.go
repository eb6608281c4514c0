package tunnels_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/rogpeppe/go-internal/txtar"
	"pgregory.net/rapid"

	"silo/tunnels"
)

var update = flag.Bool("update", false, "rewrite the expectations in testdata")

// Each archive holds an agent's configuration, ngrok.yml, and what is read of
// it: read, and where it can be read also as it is written in both versions.
func TestAgentConfigGolden(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("testdata", "agent", "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := slices.Concat(archive.Files[:1], reread(t, archive.Files[0].Data))
			if *update {
				archive.Files = got
				if err := os.WriteFile(file, txtar.Format(archive), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if want := string(txtar.Format(archive)); string(txtar.Format(&txtar.Archive{Comment: archive.Comment, Files: got})) != want {
				t.Errorf("got\n%s\nwant\n%s", txtar.Format(&txtar.Archive{Files: got}), want)
			}
		})
	}
}

func reread(t *testing.T, config []byte) []txtar.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ngrok.yml")
	if err := os.WriteFile(path, config, 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := tunnels.ReadAgentConfig(path)
	if err != nil {
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("content is shown: %v", err)
		}
		return []txtar.File{{Name: "error", Data: []byte(strings.ReplaceAll(err.Error(), path, "ngrok.yml") + "\n")}}
	}
	var read strings.Builder
	fmt.Fprintf(&read, "authtoken %q\n", file.Authtoken)
	for _, setting := range [][2]string{{"server_addr", file.ServerAddr}, {"root_cas", strings.TrimPrefix(file.RootCAs, filepath.Dir(path))}, {"metadata", file.Metadata}} {
		if setting[1] != "" {
			fmt.Fprintf(&read, "%s %q\n", setting[0], setting[1])
		}
	}
	for _, tunnel := range file.Tunnels {
		fmt.Fprintf(&read, "%s %q %d\n", tunnel.Name, tunnel.Domain, tunnel.Port)
		for _, option := range []string{
			fmt.Sprintf("host_header %q", tunnel.HostHeader), fmt.Sprintf("basic_auth %q", tunnel.BasicAuth), fmt.Sprintf("allow_cidrs %q", tunnel.AllowCIDRs),
			fmt.Sprintf("traffic_policy %q", tunnel.TrafficPolicy), fmt.Sprintf("policy_file %q", strings.TrimPrefix(tunnel.PolicyFile, filepath.Dir(path))),
		} {
			if !strings.HasSuffix(option, ` ""`) && !strings.HasSuffix(option, " []") {
				fmt.Fprintf(&read, "  %s\n", option)
			}
		}
	}
	for _, left := range file.Left {
		fmt.Fprintf(&read, "left: %s\n", left)
	}
	files := []txtar.File{{Name: "read", Data: []byte(read.String())}}
	for _, format := range []string{tunnels.NgrokV2, tunnels.NgrokV3} {
		written, err := tunnels.AgentConfig(format, file.Tunnels)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, txtar.File{Name: format, Data: written})
	}
	return files
}

func TestAgentConfigIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ngrok.yml")
	rapid.Check(t, func(t *rapid.T) {
		label := rapid.StringMatching(`[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?`)
		tunnel := rapid.Custom(func(t *rapid.T) tunnels.AgentTunnel {
			domain := ""
			if rapid.Bool().Draw(t, "named") {
				domain = label.Draw(t, "host") + ".ngrok.app"
			}
			return tunnels.AgentTunnel{
				Name: label.Draw(t, "name"), Domain: domain, Port: rapid.IntRange(1, 65535).Draw(t, "port"),
				HostHeader: rapid.SampledFrom([]string{"", "rewrite", "sentry.test:8000"}).Draw(t, "host header"),
				BasicAuth:  rapid.SampledFrom([][]string{nil, {"ada:correct horse", "me: #\"'yes"}}).Draw(t, "basic auth"),
				AllowCIDRs: rapid.SampledFrom([][]string{nil, {"10.0.0.0/8", "2001:db8::/32"}}).Draw(t, "networks"),
			}
		})
		want := rapid.SliceOfNDistinct(tunnel, 0, 6, func(t tunnels.AgentTunnel) string { return t.Name }).Draw(t, "tunnels")
		for _, format := range []string{tunnels.NgrokV2, tunnels.NgrokV3} {
			written, err := tunnels.AgentConfig(format, want)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, written, 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := tunnels.ReadAgentConfig(path)
			if err != nil || got.Authtoken != "" || len(got.Left) > 0 {
				t.Fatalf("%s: %+v, %v\n%s", format, got, err, written)
			}
			if format == tunnels.NgrokV3 { // where options are a policy's actions, which are read as a policy
				for i, one := range got.Tunnels {
					if asked := len(want[i].HostHeader) + len(want[i].BasicAuth) + len(want[i].AllowCIDRs); (asked > 0) != (one.TrafficPolicy != "") {
						t.Fatalf("%+v became the policy %q", want[i], one.TrafficPolicy)
					}
					got.Tunnels[i].TrafficPolicy = ""
					got.Tunnels[i].HostHeader, got.Tunnels[i].BasicAuth, got.Tunnels[i].AllowCIDRs = want[i].HostHeader, want[i].BasicAuth, want[i].AllowCIDRs
				}
			}
			if diff := cmp.Diff(want, got.Tunnels, cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("%s: %s\n%s", format, diff, written)
			}
		}
	})
	if _, err := tunnels.AgentConfig("ngrok-v4", nil); err == nil {
		t.Error("an unknown format is written")
	}
}

func TestFindToken(t *testing.T) {
	t.Parallel()
	v2, v3, broken := "authtoken: of-v2\n", "version: 3\nagent: {authtoken: of-v3}\n", "authtoken: [secret\n"
	cases := map[string]struct {
		configured, env, goos string
		files                 map[string]string
		token, source, fails  string
	}{
		"topology first":     {configured: " of-topology\n", env: "of-env", files: map[string]string{".config/ngrok/ngrok.yml": v3}, token: "of-topology", source: "tunnels.ngrok.authtoken"},
		"then environment":   {env: "of-env", files: map[string]string{".config/ngrok/ngrok.yml": broken}, token: "of-env", source: "NGROK_AUTHTOKEN"},
		"then agent, v3":     {goos: "linux", files: map[string]string{".config/ngrok/ngrok.yml": v3, ".ngrok2/ngrok.yml": v2}, token: "of-v3", source: ".config/ngrok/ngrok.yml"},
		"then agent, v2":     {goos: "linux", files: map[string]string{".config/ngrok/ngrok.yml": "version: 3\nagent: {}\n", ".ngrok2/ngrok.yml": v2}, token: "of-v2", source: ".ngrok2/ngrok.yml"},
		"agent on a mac":     {goos: "darwin", files: map[string]string{"Library/Application Support/ngrok/ngrok.yml": v2}, token: "of-v2", source: "Library/Application Support/ngrok/ngrok.yml"},
		"no mac path on tux": {goos: "linux", files: map[string]string{"Library/Application Support/ngrok/ngrok.yml": v2}, fails: "no ngrok authtoken"},
		"a broken agent":     {goos: "linux", files: map[string]string{".config/ngrok/ngrok.yml": broken}, fails: "is no configuration of an ngrok agent"},
		"nowhere":            {goos: "linux", fails: "no ngrok authtoken"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			home := t.TempDir()
			for path, content := range c.files {
				path = filepath.Join(home, path)
				if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			env := func(key string) (string, bool) { return c.env, key == "NGROK_AUTHTOKEN" && c.env != "" }
			found, source, err := tunnels.FindToken(c.configured, env, home, c.goos)
			if c.fails != "" {
				e, is := errors.AsType[*tunnels.Error](err)
				if !is || !strings.Contains(e.Text, c.fails) || e.Hint == "" || strings.Contains(e.Text, "secret") {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil || found != c.token || strings.TrimPrefix(source, home+"/") != c.source {
				t.Errorf("got %q from %q, %v", found, source, err)
			}
		})
	}
}

func TestAnAgentsFileTellsItsVersion(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"version: 3": "3", `version: "2"`: "2", "version: 4.1": "4.1", "": "", "version: [3]": "", "tunnels: {}": ""} {
		path := filepath.Join(t.TempDir(), "ngrok.yml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := tunnels.ReadAgentConfig(path)
		if err != nil || file.Version != want {
			t.Errorf("%q is of version %q, not %q: %v", text, file.Version, want, err)
		}
	}
}
