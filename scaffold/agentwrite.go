package scaffold

import (
	"fmt"
	"net"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// The formats of AgentConfig.
const (
	NgrokV2 = "ngrok-v2"
	NgrokV3 = "ngrok-v3"
)

// AgentConfig returns a configuration file for the ngrok agent, in format NgrokV2 or
// NgrokV3, with tunnels in the given order. It contains no authtoken: the agent also
// reads the user's own file.
func AgentConfig(format string, tunnels []AgentTunnel) ([]byte, error) {
	const head = "# Without an authtoken. Use it together with your own file: ngrok start --all --config YOUR_NGROK.YML,THIS_FILE\n"
	build := configV3
	switch format {
	case NgrokV2:
		build = configV2
	case NgrokV3:
	default:
		return nil, fmt.Errorf("agent configuration format %q: not one of %s, %s", format, NgrokV2, NgrokV3)
	}
	config, err := build(tunnels)
	if err != nil {
		return nil, err
	}
	text, err := yamlText(config)
	return []byte(head + text), err
}

type tunnelV2 struct {
	Proto         string
	Addr          int
	Domain        string   `yaml:",omitempty"`
	HostHeader    string   `yaml:"host_header,omitempty"`
	BasicAuth     []string `yaml:"basic_auth,omitempty"`
	IPRestriction struct {
		AllowCIDRs []string `yaml:"allow_cidrs"`
	} `yaml:"ip_restriction,omitempty"`
	TrafficPolicy *yaml.Node `yaml:"traffic_policy,omitempty"`
}

// configV2 builds a file of version 2, which has a key for each option
// (github.com/ngrok/ngrok-docs, agent/config/v2.mdx).
func configV2(tunnels []AgentTunnel) (any, error) {
	config := struct {
		Version string
		Tunnels yaml.Node // a mapping in the order of tunnels
	}{"2", yaml.Node{Kind: yaml.MappingNode}}
	for _, t := range tunnels {
		policy, err := t.policy()
		if err != nil {
			return nil, err
		}
		definition := tunnelV2{Proto: "http", Addr: t.Port, Domain: t.Domain, BasicAuth: t.BasicAuth, TrafficPolicy: policy}
		if t.HostHeader != "preserve" {
			definition.HostHeader = t.HostHeader
		}
		definition.IPRestriction.AllowCIDRs = t.AllowCIDRs
		var name, value yaml.Node
		name.SetString(t.Name)
		if err := value.Encode(definition); err != nil {
			return nil, fmt.Errorf("encode tunnel %s: %w", t.Name, err)
		}
		config.Tunnels.Content = append(config.Tunnels.Content, &name, &value)
	}
	return config, nil
}

type endpointV3 struct {
	Name          string
	URL           string `yaml:",omitempty"`
	Upstream      struct{ URL int }
	TrafficPolicy *yaml.Node `yaml:"traffic_policy,omitempty"`
}

// configV3 builds a file of version 3, in which options are actions of a traffic
// policy (github.com/ngrok/ngrok-docs, traffic-policy/actions/).
func configV3(tunnels []AgentTunnel) (any, error) {
	config := struct {
		Version   int
		Agent     struct{} // required by version 3, which merges the user's agent section into it
		Endpoints []endpointV3
	}{Version: 3, Endpoints: []endpointV3{}}
	for _, t := range tunnels {
		endpoint := endpointV3{Name: t.Name}
		if t.Domain != "" {
			endpoint.URL = "https://" + t.Domain
		}
		endpoint.Upstream.URL = t.Port
		var err error
		if endpoint.TrafficPolicy, err = t.policyWithOptions(); err != nil {
			return nil, err
		}
		config.Endpoints = append(config.Endpoints, endpoint)
	}
	return config, nil
}

// policyRule is a rule of a traffic policy with one action.
type policyRule struct {
	Actions []policyAction
}

type policyAction struct {
	Type   string
	Config actionConfig
}

// actionConfig holds the keys of all actions that rules returns.
type actionConfig struct {
	Enforce     bool              `yaml:",omitempty"`
	Allow       []string          `yaml:",omitempty"`
	Credentials []string          `yaml:",omitempty"`
	Headers     map[string]string `yaml:",omitempty"`
}

// rules returns the options as rules of a traffic policy. Those that reject a request
// come first.
func (t AgentTunnel) rules() (rules []policyRule) {
	add := func(action string, config actionConfig) {
		rules = append(rules, policyRule{[]policyAction{{action, config}}})
	}
	if len(t.AllowCIDRs) > 0 {
		add("restrict-ips", actionConfig{Enforce: true, Allow: t.AllowCIDRs})
	}
	if len(t.BasicAuth) > 0 {
		add("basic-auth", actionConfig{Credentials: t.BasicAuth})
	}
	host := t.HostHeader
	if host == "rewrite" {
		host = net.JoinHostPort("localhost", strconv.Itoa(t.Port))
	}
	if host != "" && host != "preserve" {
		add("add-headers", actionConfig{Headers: map[string]string{"host": host}})
	}
	return rules
}

// policy returns the traffic policy as a YAML mapping, or nil.
func (t AgentTunnel) policy() (*yaml.Node, error) {
	if t.TrafficPolicy == "" {
		return nil, nil
	}
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(t.TrafficPolicy), &document); err != nil || len(document.Content) != 1 || document.Content[0].Kind != yaml.MappingNode {
		return nil, fmt.Errorf("the traffic policy of %s is neither a YAML nor a JSON mapping", t.Name)
	}
	return document.Content[0], nil
}

// policyWithOptions returns the traffic policy with the rules of the options before its
// own rules for requests; nil without rules.
func (t AgentTunnel) policyWithOptions() (*yaml.Node, error) {
	policy, err := t.policy()
	rules := t.rules()
	if err != nil || len(rules) == 0 {
		return policy, err
	}
	var list, key yaml.Node
	if err := list.Encode(rules); err != nil {
		return nil, fmt.Errorf("encode the options of %s: %w", t.Name, err)
	}
	if policy == nil {
		policy = &yaml.Node{Kind: yaml.MappingNode}
	}
	for i := 0; i+1 < len(policy.Content); i += 2 {
		if own := policy.Content[i+1]; policy.Content[i].Value == "on_http_request" && own.Kind == yaml.SequenceNode {
			own.Content = append(list.Content, own.Content...)
			return policy, nil
		}
	}
	key.SetString("on_http_request")
	policy.Content = append([]*yaml.Node{&key, &list}, policy.Content...)
	return policy, nil
}
