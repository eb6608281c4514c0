package templates

import (
	"embed"
	"fmt"
)

//go:embed python/services.py
var servicesFile embed.FS

// Services is a Python program for `python -c` that asks a Sentry what its
// settings name, and whether that answers. It prints one JSON object.
func Services() (string, error) {
	text, err := servicesFile.ReadFile("python/services.py")
	if err != nil {
		return "", fmt.Errorf("read the question about services: %w", err)
	}
	return string(text), nil
}
