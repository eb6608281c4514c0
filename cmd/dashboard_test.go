package cmd

import "testing"

func TestOpener(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		system string
		env    map[string]string
		want   string
	}{
		{"darwin", nil, "open"},
		{"darwin", map[string]string{"SSH_CONNECTION": "10.0.0.1 1 10.0.0.2 22"}, ""},
		{"linux", nil, ""},
		{"linux", map[string]string{"DISPLAY": ":0"}, "xdg-open"},
		{"linux", map[string]string{"WAYLAND_DISPLAY": "wayland-0"}, "xdg-open"},
		{"linux", map[string]string{"DISPLAY": ":0", "BROWSER": "none"}, ""},
		{"linux", map[string]string{"DISPLAY": ""}, ""},
	} {
		if got := (&app{env: c.env}).opener(c.system); got != c.want {
			t.Errorf("%s with %v: %q", c.system, c.env, got)
		}
	}
}
