package tunnels

import "testing"

func TestLocalForgetsClosedTunnels(t *testing.T) {
	t.Parallel()
	made, err := New(Config{Provider: Local})
	if err != nil {
		t.Fatal(err)
	}
	p, _ := made.(*local)
	opened := make([]Tunnel, 3)
	for i := range opened {
		if opened[i], err = p.Open(t.Context(), Spec{Name: "us", Upstream: func() string { return "" }}); err != nil {
			t.Fatal(err)
		}
	}
	for _, tunnel := range opened[1:] {
		if err := tunnel.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if len(p.tunnels) != 1 {
		t.Errorf("%d tunnels are kept", len(p.tunnels))
	}
	if err := p.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if len(p.tunnels) != 0 {
		t.Error("Close left a tunnel open")
	}
}
