package tunnels

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// AgentFile is what silo reads of an ngrok agent's configuration.
type AgentFile struct {
	Path       string
	Version    string // that it says it is of; empty: it says none
	Authtoken  string
	ServerAddr string // host:port of the service; empty: ngrok's own
	RootCAs    string // PEM file to trust for ServerAddr; empty: ngrok's own
	Metadata   string
	Tunnels    []AgentTunnel // HTTP ones to this machine, in the order of the file
	// Left is what of the file silo has no use or no word for though it changes
	// what the agent does, one line each. It names keys, never their values.
	Left []string
}

// AgentTunnel is one tunnel or endpoint of an ngrok agent.
type AgentTunnel struct {
	Name          string
	Domain        string   // a bare host; empty: ngrok makes one up
	Port          int      // of the upstream on this machine
	HostHeader    string   // preserve (also when empty), rewrite, or a host
	BasicAuth     []string // user:password pairs
	AllowCIDRs    []string
	TrafficPolicy string // its text, YAML
	PolicyFile    string // the file that holds it, in place of TrafficPolicy; read, never written
}

// agentSettings are the agent's own: below agent in version 3, at the top in
// version 2.
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

// ReadAgentConfig reads an ngrok agent's configuration file of version 2 or 3
// (github.com/ngrok/ngrok-docs, agent/config/). Its errors show nothing of the
// file's content.
func ReadAgentConfig(path string) (AgentFile, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return AgentFile{}, fmt.Errorf("read the ngrok agent's configuration: %w", err)
	}
	var file struct {
		agentSettings `yaml:",inline"`
		Version       yaml.Node
		Agent         agentSettings
		Tunnels       yaml.Node   // a mapping, kept in its order
		Endpoints     []yaml.Node // mappings
	}
	if err := yaml.Unmarshal(raw, &file); err != nil {
		return AgentFile{}, unreadable(path, err)
	}
	found := AgentFile{Path: path}
	if file.Version.Kind == yaml.ScalarNode {
		found.Version = file.Version.Value
	}
	found.settle(file.Agent, file.agentSettings)
	for i := 0; i+1 < len(file.Tunnels.Content); i += 2 {
		if err := found.tunnel(file.Tunnels.Content[i].Value, file.Tunnels.Content[i+1]); err != nil {
			return AgentFile{}, unreadable(path, err)
		}
	}
	for i := range file.Endpoints {
		if err := found.endpoint(&file.Endpoints[i]); err != nil {
			return AgentFile{}, unreadable(path, err)
		}
	}
	return found, nil
}

// settle takes each setting from the first of settings that has it.
func (f *AgentFile) settle(settings ...agentSettings) {
	first := func(of func(agentSettings) string) string {
		for _, s := range settings {
			if value := strings.TrimSpace(of(s)); value != "" {
				return value
			}
		}
		return ""
	}
	f.Authtoken = first(func(s agentSettings) string { return s.Authtoken })
	f.Metadata = first(func(s agentSettings) string { return s.Metadata })
	f.ServerAddr = first(func(s agentSettings) string { return s.ConnectURL })
	if f.ServerAddr == "" {
		f.ServerAddr = first(func(s agentSettings) string { return s.ServerAddr })
	}
	if region := first(func(s agentSettings) string { return s.Region }); f.ServerAddr == "" && region != "" && region != "us" && region != "global" {
		f.ServerAddr = "connect." + region + ".ngrok-agent.com:443" // as the SDK has it (v1.12.1, session.go, WithRegion)
	}
	cas := first(func(s agentSettings) string { return s.ConnectCAs })
	if cas == "" {
		cas = first(func(s agentSettings) string { return s.RootCAs })
	}
	switch cas {
	case "", "trusted":
	case "host":
		f.Left = append(f.Left, "root_cas: host")
	default:
		f.RootCAs = f.beside(cas)
	}
	for _, s := range settings {
		if s.ProxyURL != "" {
			f.Left = append(f.Left, "proxy_url")
		}
		if s.ConnectInterface != "" {
			f.Left = append(f.Left, "connect_interface")
		}
		if s.DNSResolvers != nil {
			f.Left = append(f.Left, "dns_resolver_ips")
		}
	}
}

// beside is a path that the agent reads from its configuration's directory.
func (f *AgentFile) beside(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(f.Path), path)
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

// bare is the host of a URL, an origin or a host; empty for none.
func bare(address string) string {
	if parsed, err := url.Parse(address); err == nil && parsed.Host != "" {
		return strings.ToLower(parsed.Hostname())
	}
	if strings.Contains(address, "://") {
		return "" // a scheme alone: any host
	}
	return strings.ToLower(address)
}

// upstream is the port of what an agent forwards to (a port, host:port or a
// URL), and why silo cannot: it forwards plain HTTP to this machine.
func upstream(addr string) (number int, why string) {
	if number, err := strconv.Atoi(addr); err == nil {
		return number, ""
	}
	if parsed, err := url.Parse(addr); err == nil && parsed.Host != "" {
		if parsed.Scheme == "https" {
			return 0, "its upstream speaks https"
		}
		addr = parsed.Host
	}
	host, digits, err := net.SplitHostPort(addr)
	if err == nil {
		number, err = strconv.Atoi(digits)
	}
	if err != nil {
		return 0, "its upstream is no port"
	}
	if ip := net.ParseIP(host); host != "" && host != "localhost" && (ip == nil || !ip.IsLoopback() && !ip.IsUnspecified()) {
		return 0, "its upstream is on another machine"
	}
	return number, ""
}
