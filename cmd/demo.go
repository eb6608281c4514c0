package cmd

import (
	"fmt"
	"os"
	"path/filepath"

	"silo/scaffold"
	"silo/state"
	"silo/topology"
)

// demoFile returns the path of the demo's topology.
func (a *app) demoFile() (string, error) {
	root, err := state.Root(a.lookup)
	if err != nil {
		return "", err
	}
	return filepath.Join(root, "demo", "silo.toml"), nil
}

func (a *app) isDemo(t *topology.Topology) bool {
	demo, err := a.demoFile()
	return err == nil && t.File == demo
}

// demo writes the demo's files and returns its topology.
func (a *app) demo() (*topology.Topology, error) {
	file, err := a.demoFile()
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return nil, fmt.Errorf("create the demo's directory: %w", err)
	}
	config := filepath.Join(filepath.Dir(file), "sentry.conf.py")
	text, err := scaffold.Demo(self, config)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("write the demo's topology: %w", err)
	}
	if _, err := os.Stat(config); err != nil {
		if err := os.WriteFile(config, []byte(scaffold.DemoConfig), 0o600); err != nil {
			return nil, fmt.Errorf("write the demo's Sentry configuration: %w", err)
		}
	}
	return topology.Load(file, a.lookup)
}
