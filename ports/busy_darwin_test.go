package ports

import "testing"

func TestBusy(t *testing.T) {
	t.Parallel()
	if port := occupy(t, "tcp4", "0.0.0.0"); !busy(t.Context(), port) {
		t.Error("a wildcard listener is not found by connecting")
	}
	if busy(t.Context(), free(t)) {
		t.Error("nobody answers")
	}
}
