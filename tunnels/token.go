package tunnels

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// FindToken finds the ngrok authtoken: configured (the topology's), then
// NGROK_AUTHTOKEN, then the ngrok agent's own configuration files. It says
// where it was found, in words that fit after "the authtoken from". goos is
// runtime.GOOS. Without a token the error is an *Error with a hint; a
// configuration file that is there but cannot be read is an error too, unless
// a token stands before it.
func FindToken(configured string, env func(string) (string, bool), home, goos string) (token, source string, err error) {
	if token := strings.TrimSpace(configured); token != "" {
		return token, "tunnels.ngrok.authtoken", nil
	}
	if value, _ := env("NGROK_AUTHTOKEN"); strings.TrimSpace(value) != "" {
		return strings.TrimSpace(value), "NGROK_AUTHTOKEN", nil
	}
	paths := AgentConfigPaths(env, home, goos)
	for _, path := range paths {
		if _, err := os.Stat(path); err != nil {
			continue
		}
		file, err := ReadAgentConfig(path)
		if err != nil {
			return "", "", err
		}
		if file.Authtoken != "" {
			return file.Authtoken, path, nil
		}
	}
	return "", "", noToken(paths)
}

func noToken(paths []string) *Error {
	text := "no ngrok authtoken: looked at tunnels.ngrok.authtoken and NGROK_AUTHTOKEN"
	if len(paths) > 0 {
		text = fmt.Sprintf("no ngrok authtoken: looked at tunnels.ngrok.authtoken, NGROK_AUTHTOKEN, %s", strings.Join(paths, ", "))
	}
	return &Error{Code: codeNoToken, Class: Fatal, Text: text, Hint: hintSignIn}
}

// AgentConfigPaths are where the ngrok agent keeps its configuration on a
// system, the newest agent's first (github.com/ngrok/ngrok-docs,
// agent/config/index.mdx; ~/.ngrok2 is of agents before 3).
func AgentConfigPaths(env func(string) (string, bool), home, goos string) []string {
	var paths []string
	if goos == "darwin" {
		paths = append(paths, filepath.Join(home, "Library", "Application Support", "ngrok", "ngrok.yml"))
	}
	if xdg, _ := env("XDG_CONFIG_HOME"); filepath.IsAbs(xdg) {
		paths = append(paths, filepath.Join(xdg, "ngrok", "ngrok.yml"))
	}
	for _, path := range []string{
		filepath.Join(home, ".config", "ngrok", "ngrok.yml"),
		filepath.Join(home, ".ngrok2", "ngrok.yml"),
	} {
		if len(paths) == 0 || paths[len(paths)-1] != path {
			paths = append(paths, path)
		}
	}
	return paths
}
