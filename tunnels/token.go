package tunnels

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"silo/files"
)

// FindToken finds the ngrok authtoken: configured (the topology's), then
// NGROK_AUTHTOKEN, then the ngrok agent's own configuration files. source completes
// "the authtoken from". goos is runtime.GOOS. If there is no token, the error is an
// *Error with a hint. An agent's file that exists but cannot be decoded is an error
// too, unless a token was found before it.
func FindToken(configured string, env func(string) (string, bool), home, goos string) (token, source string, err error) {
	if token := strings.TrimSpace(configured); token != "" {
		return token, "tunnels.ngrok.authtoken", nil
	}
	if value, _ := env("NGROK_AUTHTOKEN"); strings.TrimSpace(value) != "" {
		return strings.TrimSpace(value), "NGROK_AUTHTOKEN", nil
	}
	paths := AgentConfigPaths(env, home, goos)
	for _, path := range paths {
		var file struct {
			Authtoken string                     // version 2
			Agent     struct{ Authtoken string } // version 3
		}
		if err := DecodeAgentFile(path, &file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", "", err
		}
		if token := strings.TrimSpace(cmp.Or(file.Agent.Authtoken, file.Authtoken)); token != "" {
			return token, path, nil
		}
	}
	return "", "", missingToken(paths)
}

func missingToken(paths []string) *Error {
	places := append([]string{"tunnels.ngrok.authtoken", "NGROK_AUTHTOKEN"}, paths...)
	return &Error{Code: codeNoToken, Class: Fatal, Text: "no ngrok authtoken: looked at " + strings.Join(places, ", "), Hint: hintSignIn}
}

// yamlLine matches the only part of a YAML error that cannot contain a secret: the
// library quotes values.
var yamlLine = regexp.MustCompile(`line \d+`)

// DecodeAgentFile decodes an ngrok agent's configuration file, which is YAML, into v.
// If the file does not exist, the error wraps fs.ErrNotExist; if it cannot be decoded,
// the error is an *Error without any of the file's content.
func DecodeAgentFile(path string, v any) error {
	raw, err := files.Read(path)
	if err != nil {
		return fmt.Errorf("read the ngrok agent's configuration: %w", err)
	}
	if err := yaml.Unmarshal(raw, v); err != nil {
		text := path + " is not an ngrok agent's configuration"
		if line := yamlLine.FindString(err.Error()); line != "" {
			text += " (" + line + ")"
		}
		return &Error{Code: codeOptions, Class: Fatal, Text: text, Hint: "ngrok config check"}
	}
	return nil
}

// AgentConfigPaths returns the paths of the ngrok agent's configuration, the newest
// agent's first (github.com/ngrok/ngrok-docs, agent/config/index.mdx; agents before
// version 3 use ~/.ngrok2).
func AgentConfigPaths(env func(string) (string, bool), home, goos string) []string {
	var paths []string
	if goos == "darwin" {
		paths = append(paths, filepath.Join(home, "Library", "Application Support", "ngrok", "ngrok.yml"))
	}
	if xdg, _ := env("XDG_CONFIG_HOME"); filepath.IsAbs(xdg) {
		paths = append(paths, filepath.Join(xdg, "ngrok", "ngrok.yml"))
	}
	paths = append(paths, filepath.Join(home, ".config", "ngrok", "ngrok.yml"), filepath.Join(home, ".ngrok2", "ngrok.yml"))
	return slices.Compact(paths) // XDG_CONFIG_HOME may be ~/.config
}
