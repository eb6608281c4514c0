package ports

import "testing"

func TestAccepts(t *testing.T) {
	t.Parallel()
	if port := occupy(t, "tcp4", "0.0.0.0"); !accepts(t.Context(), port) {
		t.Error("a wildcard listener is not detected")
	}
	if accepts(t.Context(), free(t)) {
		t.Error("a free port accepts connections")
	}
}
