package tunnels

import (
	"fmt"
	"net"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// The formats that AgentConfig writes.
const (
	NgrokV2 = "ngrok-v2"
	NgrokV3 = "ngrok-v3"
)

// AgentConfig writes tunnels as a configuration file for the ngrok agent,
// NgrokV2 or NgrokV3, in their order. It holds no authtoken: the agent reads it
// beside the user's own file.
func AgentConfig(format string, tunnels []AgentTunnel) ([]byte, error) {
	const head = "# Holds no authtoken; to be read beside your own: ngrok start --all --config YOUR_NGROK.YML,THIS_FILE\n"
	var document *yaml.Node
	switch format {
	case NgrokV2:
		definitions := mapping()
		for _, t := range tunnels {
			definition, err := t.v2()
			if err != nil {
				return nil, err
			}
			definitions.Content = append(definitions.Content, text(t.Name), definition)
		}
		version := text("2")
		version.Style = yaml.DoubleQuotedStyle
		document = mapping("version", version, "tunnels", definitions)
	case NgrokV3:
		list := sequence()
		for _, t := range tunnels {
			definition, err := t.v3()
			if err != nil {
				return nil, err
			}
			list.Content = append(list.Content, definition)
		}
		// Version 3 requires agent, if only to merge the user's own into.
		document = mapping("version", number(3), "agent", &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle}, "endpoints", list)
	default:
		return nil, fmt.Errorf("agent configuration format %q: not one of %s, %s", format, NgrokV2, NgrokV3)
	}
	written, err := yamlText(document)
	if err != nil {
		return nil, fmt.Errorf("write an agent configuration: %w", err)
	}
	return []byte(head + written), nil
}

// v2 is the definition of version 2, which has a key for each option
// (github.com/ngrok/ngrok-docs, agent/config/v2.mdx).
func (t AgentTunnel) v2() (*yaml.Node, error) {
	definition := mapping("proto", text("http"), "addr", number(t.Port))
	add := func(key string, value *yaml.Node) { definition.Content = append(definition.Content, text(key), value) }
	if t.Domain != "" {
		add("domain", text(t.Domain))
	}
	if t.HostHeader != "" && t.HostHeader != "preserve" {
		add("host_header", text(t.HostHeader))
	}
	if len(t.BasicAuth) > 0 {
		add("basic_auth", sequence(t.BasicAuth...))
	}
	if len(t.AllowCIDRs) > 0 {
		add("ip_restriction", mapping("allow_cidrs", sequence(t.AllowCIDRs...)))
	}
	policy, err := t.policy()
	if policy != nil {
		add("traffic_policy", policy)
	}
	return definition, err
}

// v3 is the definition of version 3, which has the options as actions of a
// traffic policy alone (traffic-policy/actions/).
func (t AgentTunnel) v3() (*yaml.Node, error) {
	definition := mapping("name", text(t.Name))
	if t.Domain != "" {
		definition.Content = append(definition.Content, text("url"), text("https://"+t.Domain))
	}
	definition.Content = append(definition.Content, text("upstream"), mapping("url", number(t.Port)))
	policy, err := t.policy()
	if err != nil {
		return nil, err
	}
	if rules := t.rules(); len(rules) > 0 {
		policy = before(policy, rules)
	}
	if policy != nil {
		definition.Content = append(definition.Content, text("traffic_policy"), policy)
	}
	return definition, nil
}

// rules are the options as rules of a traffic policy: who may not come in is
// turned away before anything else is done for them.
func (t AgentTunnel) rules() (rules []*yaml.Node) {
	rule := func(action string, config *yaml.Node) {
		actions := sequence()
		actions.Content = append(actions.Content, mapping("type", text(action), "config", config))
		rules = append(rules, mapping("actions", actions))
	}
	if len(t.AllowCIDRs) > 0 {
		rule("restrict-ips", mapping("enforce", boolean(true), "allow", sequence(t.AllowCIDRs...)))
	}
	if len(t.BasicAuth) > 0 {
		rule("basic-auth", mapping("credentials", sequence(t.BasicAuth...)))
	}
	switch t.HostHeader {
	case "", "preserve":
	case "rewrite":
		rule("add-headers", mapping("headers", mapping("host", text(net.JoinHostPort("localhost", strconv.Itoa(t.Port))))))
	default:
		rule("add-headers", mapping("headers", mapping("host", text(t.HostHeader))))
	}
	return rules
}

// policy is the traffic policy as YAML; nil where there is none.
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

// before puts rules in front of those that policy has for requests.
func before(policy *yaml.Node, rules []*yaml.Node) *yaml.Node {
	if policy == nil {
		policy = mapping()
	}
	for i := 0; i+1 < len(policy.Content); i += 2 {
		if policy.Content[i].Value == "on_http_request" && policy.Content[i+1].Kind == yaml.SequenceNode {
			policy.Content[i+1].Content = append(rules, policy.Content[i+1].Content...)
			return policy
		}
	}
	list := sequence()
	list.Content = rules
	policy.Content = append([]*yaml.Node{text("on_http_request"), list}, policy.Content...)
	return policy
}

// mapping is a YAML mapping that keeps the order of its keys and values.
func mapping(pairs ...any) *yaml.Node {
	node := &yaml.Node{Kind: yaml.MappingNode}
	for _, item := range pairs {
		switch item := item.(type) {
		case string:
			node.Content = append(node.Content, text(item))
		case *yaml.Node:
			node.Content = append(node.Content, item)
		}
	}
	return node
}

func sequence(items ...string) *yaml.Node {
	node := &yaml.Node{Kind: yaml.SequenceNode}
	for _, item := range items {
		node.Content = append(node.Content, text(item))
	}
	return node
}

func text(value string) *yaml.Node {
	node := &yaml.Node{}
	node.SetString(value)
	return node
}

func number(value int) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: strconv.Itoa(value)}
}

func boolean(value bool) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: strconv.FormatBool(value)}
}
