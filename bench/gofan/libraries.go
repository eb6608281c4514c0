//go:build linux && libraries

package main

// What silo is made with, for what it costs to have it in a program at all.
import (
	_ "github.com/charmbracelet/lipgloss"
	_ "github.com/pelletier/go-toml/v2"
	_ "github.com/urfave/cli/v2"
	_ "golang.ngrok.com/ngrok"
)
