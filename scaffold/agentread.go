package scaffold

import (
	"cmp"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"silo/tunnels"
)

// AgentFile is an ngrok agent's configuration file of version 2 or 3
// (github.com/ngrok/ngrok-docs, agent/config/).
type AgentFile struct {
	Path         string
	Version      string // as written; empty if the file has none
	HasAuthtoken bool
	ServerAddr   string        // host:port of the service; empty: ngrok's default
	RootCAs      string        // PEM file to trust for ServerAddr; empty: ngrok's default
	Metadata     string        // of the session
	Tunnels      []AgentTunnel // HTTP tunnels to this machine, in the order of the file
	// Skipped lists settings that change the agent's behaviour and that silo.toml cannot
	// express, one line each. It names keys, never their values.
	Skipped []string

	region string // where version 2 puts subdomains; empty for the United States
}

// AgentTunnel is one tunnel (version 2) or endpoint (version 3) of an ngrok agent.
type AgentTunnel struct {
	Name          string
	Domain        string   // a bare host; empty: ngrok chooses one
	Port          int      // of the upstream on this machine
	HostHeader    string   // preserve (also if empty), rewrite, or a host
	BasicAuth     []string // user:password pairs
	AllowCIDRs    []string
	TrafficPolicy string // YAML text
	PolicyFile    string // a file that contains it instead; read, never written
}

// ReadAgentFile reads an ngrok agent's configuration file. Its errors are those
// of tunnels.DecodeAgentFile.
func ReadAgentFile(path string) (AgentFile, error) {
	file := AgentFile{Path: path}
	err := tunnels.DecodeAgentFile(path, &file)
	return file, err
}

// agentSettings are the agent's own settings: at the top of a version 2 file, below
// agent in version 3.
type agentSettings struct {
	Authtoken  string
	Region     string
	ServerAddr string `yaml:"server_addr"`
	ConnectURL string `yaml:"connect_url"` // server_addr of version 3
	RootCAs    string `yaml:"root_cas"`
	ConnectCAs string `yaml:"connect_cas"` // root_cas of version 3
	Metadata   string

	ProxyURL         string `yaml:"proxy_url"`
	ConnectInterface string `yaml:"connect_interface"`
	DNSResolvers     any    `yaml:"dns_resolver_ips"`
}

// UnmarshalYAML decodes a whole file.
func (f *AgentFile) UnmarshalYAML(document *yaml.Node) error {
	var (
		settings agentSettings
		file     struct {
			Version   yaml.Node
			Agent     yaml.Node
			Tunnels   yaml.Node   // a mapping, as a node to keep its order
			Endpoints []yaml.Node // mappings
		}
	)
	if err := document.Decode(&file); err != nil {
		return err
	}
	for _, node := range []*yaml.Node{document, &file.Agent} {
		if node.IsZero() {
			continue
		}
		if err := node.Decode(&settings); err != nil {
			return err
		}
	}
	if file.Version.Kind == yaml.ScalarNode {
		f.Version = file.Version.Value
	}
	f.apply(settings)
	for i := 0; i+1 < len(file.Tunnels.Content); i += 2 {
		if err := f.addV2(file.Tunnels.Content[i].Value, file.Tunnels.Content[i+1]); err != nil {
			return err
		}
	}
	for i := range file.Endpoints {
		if err := f.addV3(&file.Endpoints[i]); err != nil {
			return err
		}
	}
	return nil
}

func (f *AgentFile) apply(s agentSettings) {
	f.HasAuthtoken, f.Metadata = s.Authtoken != "", s.Metadata
	f.ServerAddr = cmp.Or(s.ConnectURL, s.ServerAddr)
	if s.Region != "us" && s.Region != "global" {
		f.region = s.Region
	}
	if f.ServerAddr == "" && f.region != "" {
		f.ServerAddr = "connect." + f.region + ".ngrok-agent.com:443" // as WithRegion of the SDK (v1.12.1, session.go)
	}
	switch cas := cmp.Or(s.ConnectCAs, s.RootCAs); cas {
	case "", "trusted":
	case "host":
		f.skip("root_cas: host")
	default:
		f.RootCAs = f.resolve(cas)
	}
	if s.ProxyURL != "" {
		f.skip("proxy_url")
	}
	if s.ConnectInterface != "" {
		f.skip("connect_interface")
	}
	if s.DNSResolvers != nil {
		f.skip("dns_resolver_ips")
	}
}

func (f *AgentFile) skip(what string) { f.Skipped = append(f.Skipped, what) }

// skipKeys adds the keys of a definition that are not in known to the skipped ones.
func (f *AgentFile) skipKeys(name string, definition *yaml.Node, known []string) {
	for i := 0; i+1 < len(definition.Content); i += 2 {
		if key := definition.Content[i].Value; !slices.Contains(known, key) {
			f.skip(name + ": " + key)
		}
	}
}

// resolve resolves a path that the agent reads relative to its configuration.
func (f *AgentFile) resolve(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(f.Path), path)
}

// keysV2 and keysV3 are the keys that silo.toml can express, or that do not affect a
// silo's tunnel.
var (
	keysV2 = []string{
		"proto", "addr", "labels", "schemes", "domain", "hostname", "subdomain", "url", "host_header", "basic_auth", "auth",
		"ip_restriction", "traffic_policy", "policy", "traffic_policy_file", "inspect", "metadata", "description",
	}
	keysV3 = []string{"name", "url", "upstream", "bindings", "traffic_policy", "traffic_policy_file", "metadata", "description"}
)

// addV2 adds a tunnel of version 2.
func (f *AgentFile) addV2(name string, definition *yaml.Node) error {
	var d struct {
		Proto         string
		Addr          string
		Labels        any
		Schemes       []string
		Domain        string
		Hostname      string
		Subdomain     string
		URL           string
		HostHeader    string   `yaml:"host_header"`
		BasicAuth     []string `yaml:"basic_auth"`
		Auth          string   // one pair, for agents before version 3
		IPRestriction struct {
			AllowCIDRs []string `yaml:"allow_cidrs"`
			DenyCIDRs  []string `yaml:"deny_cidrs"`
		} `yaml:"ip_restriction"`
		TrafficPolicy     yaml.Node `yaml:"traffic_policy"`
		Policy            yaml.Node // its old name
		TrafficPolicyFile string    `yaml:"traffic_policy_file"`
	}
	if err := definition.Decode(&d); err != nil {
		return err
	}
	port, problem := upstreamPort(d.Addr)
	switch {
	case d.Labels != nil:
		problem = "a labelled tunnel"
	case d.Proto != "http":
		problem = "not an HTTP tunnel"
	}
	if problem != "" {
		f.skip(name + ": " + problem)
		return nil
	}
	t := AgentTunnel{
		Name: name, Port: port, Domain: bareHost(cmp.Or(d.Domain, d.Hostname, d.URL)), HostHeader: d.HostHeader,
		BasicAuth: d.BasicAuth, AllowCIDRs: d.IPRestriction.AllowCIDRs,
	}
	if d.Subdomain != "" && d.Domain == "" && d.Hostname == "" {
		t.Domain = f.subdomain(d.Subdomain)
	}
	if d.Auth != "" {
		t.BasicAuth = append(t.BasicAuth, d.Auth)
	}
	if len(d.IPRestriction.DenyCIDRs) > 0 {
		f.skip(name + ": ip_restriction.deny_cidrs")
	}
	if slices.Contains(d.Schemes, "http") {
		f.skip(name + ": schemes: http (silo's addresses are https)")
	}
	f.skipKeys(name, definition, keysV2)
	policy := &d.TrafficPolicy
	if policy.IsZero() {
		policy = &d.Policy
	}
	return f.add(t, policy, d.TrafficPolicyFile)
}

// subdomain returns the host of a subdomain, which version 2 has only below
// ngrok.io: us.ngrok.io does not exist, but eu.ngrok.io does
// (github.com/inconshreveable/ngrok issue 864).
func (f *AgentFile) subdomain(name string) string {
	host := strings.ToLower(name)
	if f.region != "" {
		host += "." + f.region
	}
	return host + ".ngrok.io"
}

// addV3 adds an endpoint of version 3.
func (f *AgentFile) addV3(definition *yaml.Node) error {
	var d struct {
		Name              string
		URL               string
		Upstream          struct{ URL, Protocol string }
		Bindings          []string
		TrafficPolicy     yaml.Node `yaml:"traffic_policy"`
		TrafficPolicyFile string    `yaml:"traffic_policy_file"`
	}
	if err := definition.Decode(&d); err != nil {
		return err
	}
	port, problem := upstreamPort(d.Upstream.URL)
	switch {
	case strings.HasPrefix(d.URL, "tcp:"), strings.HasPrefix(d.URL, "tls:"):
		problem = "not an HTTP endpoint"
	case strings.HasSuffix(bareHost(d.URL), ".internal"), slices.Contains(d.Bindings, "internal"), slices.Contains(d.Bindings, "kubernetes"):
		problem = "not a public endpoint"
	}
	if problem != "" {
		f.skip(d.Name + ": " + problem)
		return nil
	}
	if strings.HasPrefix(d.URL, "http:") {
		f.skip(d.Name + ": scheme http (silo's addresses are https)")
	}
	f.skipKeys(d.Name, definition, keysV3)
	return f.add(AgentTunnel{Name: d.Name, Port: port, Domain: bareHost(d.URL)}, &d.TrafficPolicy, d.TrafficPolicyFile)
}

// add adds a tunnel with its policy, which is a YAML mapping, text, or the name of
// another file.
func (f *AgentFile) add(t AgentTunnel, policy *yaml.Node, file string) error {
	switch {
	case policy.Kind == yaml.ScalarNode:
		t.TrafficPolicy = policy.Value
	case !policy.IsZero():
		text, err := yamlText(policy)
		if err != nil {
			return err
		}
		t.TrafficPolicy = text
	case file != "":
		t.PolicyFile = f.resolve(file)
	}
	f.Tunnels = append(f.Tunnels, t)
	return nil
}

func yamlText(value any) (string, error) {
	var out strings.Builder
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := encoder.Encode(value); err != nil {
		return "", fmt.Errorf("encode YAML: %w", err)
	}
	return out.String(), nil
}

// bareHost returns the host of a URL, an origin or a host, in lower case; empty
// for a scheme without a host.
func bareHost(address string) string {
	if parsed, err := url.Parse(address); err == nil && parsed.Host != "" {
		return strings.ToLower(parsed.Hostname())
	}
	if strings.Contains(address, "://") {
		return ""
	}
	return strings.ToLower(address)
}

// upstreamPort returns the port that an agent forwards to. addr is a port,
// host:port or a URL. problem is not empty if silo cannot forward there: silo forwards
// plain HTTP, and only to this machine.
func upstreamPort(addr string) (port int, problem string) {
	if port, err := strconv.Atoi(addr); err == nil {
		return port, ""
	}
	if parsed, err := url.Parse(addr); err == nil && parsed.Host != "" {
		if parsed.Scheme == "https" {
			return 0, "its upstream uses https"
		}
		addr = parsed.Host
	}
	host, digits, err := net.SplitHostPort(addr)
	if err == nil {
		port, err = strconv.Atoi(digits)
	}
	if err != nil {
		return 0, "its upstream is not a port"
	}
	// host.docker.internal is this machine, seen from an agent in a container.
	if ip := net.ParseIP(host); !slices.Contains([]string{"", "localhost", "host.docker.internal"}, host) && (ip == nil || !ip.IsLoopback() && !ip.IsUnspecified()) {
		return 0, "its upstream is on another machine"
	}
	return port, ""
}
