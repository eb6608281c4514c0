package tunnels

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// agentTunnel is a definition of version 2, below tunnels.
type agentTunnel struct {
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
	Auth          string   // one pair, of agents before 3
	IPRestriction struct {
		AllowCIDRs []string `yaml:"allow_cidrs"`
		DenyCIDRs  []string `yaml:"deny_cidrs"`
	} `yaml:"ip_restriction"`
	TrafficPolicy     yaml.Node `yaml:"traffic_policy"`
	Policy            yaml.Node // its older name
	TrafficPolicyFile string    `yaml:"traffic_policy_file"`
}

// agentEndpoint is a definition of version 3, in endpoints.
type agentEndpoint struct {
	Name              string
	URL               string
	Upstream          struct{ URL, Protocol string }
	Bindings          []string
	TrafficPolicy     yaml.Node `yaml:"traffic_policy"`
	TrafficPolicyFile string    `yaml:"traffic_policy_file"`
}

// Keys that need no word: they are carried over, or change nothing of what a
// silo's tunnel does.
var (
	carriedTunnel = []string{
		"proto", "addr", "labels", "schemes", "domain", "hostname", "subdomain", "url", "host_header", "basic_auth", "auth",
		"ip_restriction", "traffic_policy", "policy", "traffic_policy_file", "inspect", "metadata", "description",
	}
	carriedEndpoint = []string{"name", "url", "upstream", "bindings", "traffic_policy", "traffic_policy_file", "metadata", "description"}
)

// leave notes what is not carried over of a definition.
func (f *AgentFile) leave(name, what string) { f.Left = append(f.Left, name+": "+what) }

func (f *AgentFile) leaveKeys(name string, definition *yaml.Node, carried []string) {
	for i := 0; i+1 < len(definition.Content); i += 2 {
		if key := definition.Content[i].Value; !slices.Contains(carried, key) {
			f.leave(name, key)
		}
	}
}

// tunnel takes a definition of version 2.
func (f *AgentFile) tunnel(name string, definition *yaml.Node) error {
	var d agentTunnel
	if err := definition.Decode(&d); err != nil {
		return err
	}
	number, why := upstream(d.Addr)
	switch {
	case d.Labels != nil:
		why = "a labelled tunnel"
	case d.Proto != "http":
		why = "not an HTTP tunnel"
	}
	if why != "" {
		f.leave(name, why)
		return nil
	}
	t := AgentTunnel{
		Name: name, Port: number, Domain: d.domain(), HostHeader: d.HostHeader, BasicAuth: d.BasicAuth,
		AllowCIDRs: d.IPRestriction.AllowCIDRs,
	}
	if d.Auth != "" {
		t.BasicAuth = append(t.BasicAuth, d.Auth)
	}
	if len(d.IPRestriction.DenyCIDRs) > 0 {
		f.leave(name, "ip_restriction.deny_cidrs")
	}
	if slices.Contains(d.Schemes, "http") {
		f.leave(name, "schemes: http (silo's addresses are https)")
	}
	f.leaveKeys(name, definition, carriedTunnel)
	policy := &d.TrafficPolicy
	if policy.IsZero() {
		policy = &d.Policy
	}
	return f.add(t, policy, d.TrafficPolicyFile)
}

func (d *agentTunnel) domain() string {
	switch {
	case d.Domain != "":
		return bare(d.Domain)
	case d.Hostname != "":
		return bare(d.Hostname)
	case d.Subdomain != "":
		return strings.ToLower(d.Subdomain) + ".ngrok.io" // all that version 2 gave subdomains of
	}
	return bare(d.URL)
}

// endpoint takes a definition of version 3.
func (f *AgentFile) endpoint(definition *yaml.Node) error {
	var d agentEndpoint
	if err := definition.Decode(&d); err != nil {
		return err
	}
	number, why := upstream(d.Upstream.URL)
	switch {
	case strings.HasPrefix(d.URL, "tcp:"), strings.HasPrefix(d.URL, "tls:"):
		why = "not an HTTP endpoint"
	case strings.HasSuffix(bare(d.URL), ".internal"), slices.Contains(d.Bindings, "internal"), slices.Contains(d.Bindings, "kubernetes"):
		why = "not a public endpoint"
	}
	if why != "" {
		f.leave(d.Name, why)
		return nil
	}
	if strings.HasPrefix(d.URL, "http:") {
		f.leave(d.Name, "scheme http (silo's addresses are https)")
	}
	f.leaveKeys(d.Name, definition, carriedEndpoint)
	return f.add(AgentTunnel{Name: d.Name, Port: number, Domain: bare(d.URL)}, &d.TrafficPolicy, d.TrafficPolicyFile)
}

// add takes a tunnel with its policy, which a file holds as YAML within YAML, as
// text, or as the name of another file.
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
		t.PolicyFile = f.beside(file)
	}
	f.Tunnels = append(f.Tunnels, t)
	return nil
}

func yamlText(node *yaml.Node) (string, error) {
	var out strings.Builder
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := encoder.Encode(node); err != nil {
		return "", fmt.Errorf("write YAML: %w", err)
	}
	return out.String(), nil
}
