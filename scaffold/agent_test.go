package scaffold

import (
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
)

var update = flag.Bool("update", false, "rewrite the expectations in testdata")

// Each archive contains an agent's configuration, ngrok.yml, and the result of reading it,
// read. If it can be read, the archive also contains the files written for both versions.
func TestAgentFileGolden(t *testing.T) {
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
	file, err := ReadAgentFile(path)
	if err != nil {
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("the error shows the file's content: %v", err)
		}
		return []txtar.File{{Name: "error", Data: []byte(strings.ReplaceAll(err.Error(), path, "ngrok.yml") + "\n")}}
	}
	var read strings.Builder
	fmt.Fprintf(&read, "authtoken %v\n", file.HasAuthtoken)
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
	for _, left := range file.Skipped {
		fmt.Fprintf(&read, "skipped: %s\n", left)
	}
	files := []txtar.File{{Name: "read", Data: []byte(read.String())}}
	for _, format := range []string{NgrokV2, NgrokV3} {
		written, err := AgentConfig(format, file.Tunnels)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, txtar.File{Name: format, Data: written})
	}
	return files
}

func TestAgentConfigRoundTrip(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ngrok.yml")
	rapid.Check(t, func(t *rapid.T) {
		label := rapid.StringMatching(`[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?`)
		tunnel := rapid.Custom(func(t *rapid.T) AgentTunnel {
			domain := ""
			if rapid.Bool().Draw(t, "named") {
				domain = label.Draw(t, "host") + ".ngrok.app"
			}
			return AgentTunnel{
				Name: label.Draw(t, "name"), Domain: domain, Port: rapid.IntRange(1, 65535).Draw(t, "port"),
				HostHeader: rapid.SampledFrom([]string{"", "rewrite", "sentry.test:8000"}).Draw(t, "host header"),
				BasicAuth:  rapid.SampledFrom([][]string{nil, {"ada:correct horse", "me: #\"'yes"}}).Draw(t, "basic auth"),
				AllowCIDRs: rapid.SampledFrom([][]string{nil, {"10.0.0.0/8", "2001:db8::/32"}}).Draw(t, "networks"),
			}
		})
		want := rapid.SliceOfNDistinct(tunnel, 0, 6, func(t AgentTunnel) string { return t.Name }).Draw(t, "tunnels")
		for _, format := range []string{NgrokV2, NgrokV3} {
			written, err := AgentConfig(format, want)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, written, 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := ReadAgentFile(path)
			if err != nil || got.HasAuthtoken || len(got.Skipped) > 0 {
				t.Fatalf("%s: %+v, %v\n%s", format, got, err, written)
			}
			if format == NgrokV3 { // in version 3, options are actions of a policy, so they are read as a policy
				for i, one := range got.Tunnels {
					if asked := len(want[i].HostHeader) + len(want[i].BasicAuth) + len(want[i].AllowCIDRs); (asked > 0) != (one.TrafficPolicy != "") {
						t.Fatalf("%+v was written as the policy %q", want[i], one.TrafficPolicy)
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
	if _, err := AgentConfig("ngrok-v4", nil); err == nil {
		t.Error("an unknown format is written")
	}
}

func TestAgentFileVersion(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"version: 3": "3", `version: "2"`: "2", "version: 4.1": "4.1", "": "", "version: [3]": "", "tunnels: {}": ""} {
		path := filepath.Join(t.TempDir(), "ngrok.yml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := ReadAgentFile(path)
		if err != nil || file.Version != want {
			t.Errorf("%q: got version %q, want %q: %v", text, file.Version, want, err)
		}
	}
}
