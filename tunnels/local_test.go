package tunnels

import "testing"

// Silos come and go while a provider stays.
func TestLocalForgetsWhatIsClosed(t *testing.T) {
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
	if len(p.edges) != 1 {
		t.Errorf("%d edges are kept", len(p.edges))
	}
	if err := p.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if len(p.edges) != 0 {
		t.Error("Close has not closed the last one")
	}
}
