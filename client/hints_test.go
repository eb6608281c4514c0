package client

import (
	"crypto/x509"
	"strings"
	"testing"

	"silo/state"
)

// TestAuthorityHint checks the hint for a certificate that Sentry would reject: its clients
// read REQUESTS_CA_BUNDLE only in the first releases.
func TestAuthorityHint(t *testing.T) {
	t.Parallel()
	for dialect, want := range map[string]string{"tuple-id": "REQUESTS_CA_BUNDLE", "tuple-snowflake": "python -m certifi", "cells": "python -m certifi"} {
		p := probe{snapshot: &state.Snapshot{Dialect: dialect}, silo: state.Silo{State: state.Ready}, way: &Way{Via: Address}}
		if got := p.hint(TLS, x509.UnknownAuthorityError{}); !strings.Contains(got, want) || !strings.Contains(got, "SSL_CERT_FILE") {
			t.Errorf("%s: %s", dialect, got)
		}
	}
}
