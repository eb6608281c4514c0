package scaffold

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"
	"pgregory.net/rapid"
)

func parse(text string) (map[string]any, error) {
	var got map[string]any
	if err := toml.Unmarshal([]byte(text), &got); err != nil {
		return nil, fmt.Errorf("%w in\n%s", err, text)
	}
	return got, nil
}

// at returns the value at a dotted key, or nil.
func at(table map[string]any, key string) any {
	var value any = table
	for name := range strings.SplitSeq(key, ".") {
		inner, ok := value.(map[string]any)
		if !ok {
			return nil
		}
		value = inner[name]
	}
	return value
}

func TestTopologyOfInit(t *testing.T) {
	t.Parallel()
	text, err := Topology{Regions: []Region{{Name: "us", ID: 1}}}.Text()
	if err != nil {
		t.Fatal(err)
	}
	got, err := parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if want := "map[control:map[] region:map[us:map[id:1]] sentry:map[] tunnels:map[] version:1]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

func TestTopologyContainsKnownValues(t *testing.T) {
	t.Parallel()
	text, err := Topology{
		Schema: true, Name: "acme", Command: []string{"sentry", "devserver", "--workers"}, Config: "~/c.py",
		Dialect: "22.11.0", Watchers: "false", Provider: "ngrok", Ngrok: Ngrok{ServerAddr: "n.example.com:443", RootCAs: "ca.pem", Metadata: "m"},
		Control: Silo{Port: 9000, Domain: "c.example.com", HostHeader: "rewrite", BasicAuth: []string{"a:b"}, AllowCIDRs: []string{"10.0.0.0/8"}, TrafficPolicy: "p.yml"},
		Regions: []Region{{Name: "us-west", ID: 1, Category: "SINGLE_TENANT"}, {Name: "eu", ID: 2, Silo: Silo{
			Port: 9002, Domain: "e.example.com", HostHeader: "h", BasicAuth: []string{"c:d"}, AllowCIDRs: []string{"::/0"}, TrafficPolicy: "a: \"\"\"\\\"\n  b: c\n",
		}}},
	}.Text()
	if err != nil {
		t.Fatal(err)
	}
	got, err := parse(text)
	if err != nil {
		t.Fatal(err)
	}
	want := "map[control:map[allow_cidrs:[10.0.0.0/8] basic_auth:[a:b] domain:c.example.com host_header:rewrite port:9000 traffic_policy:p.yml] name:acme " +
		"region:map[eu:map[allow_cidrs:[::/0] basic_auth:[c:d] domain:e.example.com host_header:h id:2 port:9002 traffic_policy:a: \"\"\"\\\"\n  b: c\n] us-west:map[category:SINGLE_TENANT id:1]] " +
		"sentry:map[command:[sentry devserver --workers] config:~/c.py dialect:22.11.0 watchers:false] " +
		"tunnels:map[ngrok:map[metadata:m root_cas:ca.pem server_addr:n.example.com:443] provider:ngrok] version:1]"
	if fmt.Sprint(got) != want || !strings.HasPrefix(text, "#:schema ./silo.schema.json\n") {
		t.Errorf("got  %v\nwant %s", got, want)
	}
}

var example = regexp.MustCompile(`(?m)^# (\[[a-z.-]+\]|[a-z_]+ *= )`)

func TestTopologyDocumentsEveryKey(t *testing.T) {
	t.Parallel()
	text, err := Topology{Regions: []Region{{Name: "us", ID: 1}}}.Text()
	if err != nil {
		t.Fatal(err)
	}
	got, err := parse(example.ReplaceAllString(text, "$1"))
	if err != nil {
		t.Fatal("what is commented out is not TOML:", err)
	}
	keys := strings.FieldsSeq(`version name sentry.dir sentry.command sentry.config sentry.dialect sentry.watchers sentry.tty sentry.addresses
		sentry.databases sentry.managed sentry.env tunnels.provider tunnels.domain tunnels.ngrok.authtoken tunnels.ngrok.server_addr
		tunnels.ngrok.root_cas tunnels.ngrok.metadata isolation.regions logs.max logs.keep control.port control.domain control.url
		control.host_header control.basic_auth control.allow_cidrs control.traffic_policy control.env control.ready.path
		control.ready.status control.ready.timeout control.ready.interval control.restart.policy control.restart.max
		control.restart.backoff control.restart.backoff_max control.restart.window control.stop.signal control.stop.grace
		region.us.id region.us.category region.us.port region.one-more.command region.one-more.dir region.one-more.watchers`)
	for key := range keys {
		if at(got, key) == nil {
			t.Errorf("%s does not appear", key)
		}
	}
}

func TestTopologyIsValidTOML(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.StringMatching(`[a-z"\\\n\r\t\x00#\]=']{1,9}`))
		want := Topology{
			Name: text.Draw(t, "name"), Command: rapid.SliceOf(text).Draw(t, "command"),
			Dialect: text.Draw(t, "dialect"), Control: Silo{TrafficPolicy: text.Draw(t, "policy")},
			Regions: []Region{{Name: text.Filter(func(s string) bool { return s != "" }).Draw(t, "region"), ID: 7}},
		}
		written, err := want.Text()
		if err != nil {
			t.Fatal(err)
		}
		got, err := parse(written)
		if err != nil {
			t.Fatal(err)
		}
		command := []string{}
		if all, ok := at(got, "sentry.command").([]any); ok {
			for _, word := range all {
				command = append(command, fmt.Sprint(word))
			}
		}
		regions, _ := got["region"].(map[string]any)
		region, _ := regions[want.Regions[0].Name].(map[string]any)
		name, _ := got["name"].(string)
		dialect, _ := at(got, "sentry.dialect").(string)
		if policy, _ := at(got, "control.traffic_policy").(string); policy != want.Control.TrafficPolicy {
			t.Fatalf("wrote %q, read %q from\n%s", want.Control.TrafficPolicy, policy, written)
		}
		if name != want.Name || dialect != want.Dialect || !slices.Equal(command, want.Command) && len(command)+len(want.Command) > 0 || region["id"] != int64(7) {
			t.Fatalf("wrote %+v, read %v from\n%s", want, got, written)
		}
	})
}
