package tunnels

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The formats that AgentConfig writes.
const (
	NgrokV2 = "ngrok-v2"
	NgrokV3 = "ngrok-v3"
)

// AgentFile is what silo reads of an ngrok agent's configuration.
type AgentFile struct {
	Authtoken string
	Tunnels   []AgentTunnel // HTTP ones, in the order of the file
}

// AgentTunnel is one tunnel or endpoint of an ngrok agent.
type AgentTunnel struct {
	Name   string
	Domain string // a bare host; empty: ngrok makes one up
	Port   int    // of the upstream on this machine
}

// agentTunnel is a definition of version 2, below tunnels.
type agentTunnel struct {
	Proto     string
	Addr      string
	Domain    string
	Hostname  string
	Subdomain string
	URL       string
}

// agentEndpoint is a definition of version 3, in endpoints.
type agentEndpoint struct {
	Name     string
	URL      string
	Upstream struct{ URL string }
}

// ReadAgentConfig reads an ngrok agent's configuration file of version 2 or 3
// (github.com/ngrok/ngrok-docs, agent/config/). Keys that silo has no use for
// are passed over. Its errors show nothing of the file's content.
func ReadAgentConfig(path string) (AgentFile, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return AgentFile{}, fmt.Errorf("read the ngrok agent's configuration: %w", err)
	}
	var file struct {
		Authtoken string
		Agent     struct{ Authtoken string }
		Tunnels   yaml.Node // a mapping, kept in its order
		Endpoints []agentEndpoint
	}
	if err := yaml.Unmarshal(raw, &file); err != nil {
		return AgentFile{}, unreadable(path, err)
	}
	found := AgentFile{Authtoken: strings.TrimSpace(file.Agent.Authtoken)}
	if found.Authtoken == "" {
		found.Authtoken = strings.TrimSpace(file.Authtoken)
	}
	for i := 0; i+1 < len(file.Tunnels.Content); i += 2 {
		var definition agentTunnel
		if err := file.Tunnels.Content[i+1].Decode(&definition); err != nil {
			return AgentFile{}, unreadable(path, err)
		}
		if tunnel, isHTTP := definition.read(); isHTTP {
			tunnel.Name = file.Tunnels.Content[i].Value
			found.Tunnels = append(found.Tunnels, tunnel)
		}
	}
	for _, definition := range file.Endpoints {
		if tunnel, isHTTP := definition.read(); isHTTP {
			found.Tunnels = append(found.Tunnels, tunnel)
		}
	}
	return found, nil
}

// linePattern finds the only part of a YAML error that cannot hold a secret:
// the library quotes values.
var linePattern = regexp.MustCompile(`line \d+`)

func unreadable(path string, err error) *Error {
	text := path + " is no configuration of an ngrok agent"
	if line := linePattern.FindString(err.Error()); line != "" {
		text = fmt.Sprintf("%s (%s)", text, line)
	}
	return &Error{Code: codeOptions, Class: Fatal, Text: text, Hint: "ngrok config check"}
}

func (d agentTunnel) read() (AgentTunnel, bool) {
	tunnel := AgentTunnel{Port: port(d.Addr)}
	switch {
	case d.Domain != "":
		tunnel.Domain = d.Domain
	case d.Hostname != "":
		tunnel.Domain = d.Hostname
	case d.Subdomain != "":
		tunnel.Domain = d.Subdomain + ".ngrok.io" // all that version 2 gave subdomains of
	default:
		tunnel.Domain = bare(d.URL)
	}
	return tunnel, d.Proto == "http" && tunnel.Port != 0
}

func (d agentEndpoint) read() (AgentTunnel, bool) {
	isHTTP := !strings.HasPrefix(d.URL, "tcp:") && !strings.HasPrefix(d.URL, "tls:")
	tunnel := AgentTunnel{Name: d.Name, Domain: bare(d.URL), Port: port(d.Upstream.URL)}
	return tunnel, isHTTP && tunnel.Port != 0
}

// bare is the host of a URL, an origin or a host; empty for none.
func bare(address string) string {
	if parsed, err := url.Parse(address); err == nil && parsed.Host != "" {
		return parsed.Hostname()
	}
	if strings.Contains(address, "://") {
		return "" // a scheme alone: any host
	}
	return address
}

// port is the port of what an agent forwards to: a port, host:port or a URL.
// Zero where it is none of them.
func port(addr string) int {
	if number, err := strconv.Atoi(addr); err == nil {
		return number
	}
	if parsed, err := url.Parse(addr); err == nil && parsed.Host != "" {
		addr = parsed.Host
	}
	_, digits, err := net.SplitHostPort(addr)
	if err != nil {
		return 0
	}
	number, err := strconv.Atoi(digits)
	if err != nil {
		return 0
	}
	return number
}

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
			definition := mapping("proto", text("http"), "addr", number(t.Port))
			if t.Domain != "" {
				definition.Content = append(definition.Content, text("domain"), text(t.Domain))
			}
			definitions.Content = append(definitions.Content, text(t.Name), definition)
		}
		version := text("2")
		version.Style = yaml.DoubleQuotedStyle
		document = mapping("version", version, "tunnels", definitions)
	case NgrokV3:
		list := &yaml.Node{Kind: yaml.SequenceNode}
		for _, t := range tunnels {
			definition := mapping("name", text(t.Name))
			if t.Domain != "" {
				definition.Content = append(definition.Content, text("url"), text("https://"+t.Domain))
			}
			definition.Content = append(definition.Content, text("upstream"), mapping("url", number(t.Port)))
			list.Content = append(list.Content, definition)
		}
		// Version 3 requires agent, if only to merge the user's own into.
		document = mapping("version", number(3), "agent", &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle}, "endpoints", list)
	default:
		return nil, fmt.Errorf("agent configuration format %q: not one of %s, %s", format, NgrokV2, NgrokV3)
	}
	var out strings.Builder
	out.WriteString(head)
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := encoder.Encode(document); err != nil {
		return nil, fmt.Errorf("write an agent configuration: %w", err)
	}
	return []byte(out.String()), nil
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

func text(value string) *yaml.Node {
	node := &yaml.Node{}
	node.SetString(value)
	return node
}

func number(value int) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: strconv.Itoa(value)}
}
