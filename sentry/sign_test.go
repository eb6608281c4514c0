package sentry_test

import (
	"errors"
	"net/http"
	"testing"

	"pgregory.net/rapid"

	"silo/sentry"
)

// The vectors were computed by the functions that Sentry 23.7.1 ships
// (services/hybrid_cloud/rpc.py, silo/util.py); the one with a base URL follows the
// formula of later releases.
func TestSignatureVectors(t *testing.T) {
	t.Parallel()
	const rpcSecret, subnetSecret = "a-long-value-that-is-shared-but-also-secret", "secret-subnet-signature"
	got := sentry.RPCSignature(rpcSecret, "/api/0/internal/rpc/organization/get_org_by_slug/", []byte(`{"meta":{},"args":{"slug":"acme"}}`))
	if want := "rpc0:eac0737bd7b591376696765ae5d0f5a04aa839ecb23f3564cde7d39e5c33627f"; got != want {
		t.Errorf("rpc: %s", got)
	}
	for _, c := range []struct{ base, path, want string }{
		{"", "/app/installations", "v0=329e04306ec756bdd144a6e77514a442c73d15712c00599467a4a06f1b1252d3"},
		{"", "app/installations", "v0=329e04306ec756bdd144a6e77514a442c73d15712c00599467a4a06f1b1252d3"},
		{"https://api.github.com/", "/app/installations", "v0=e60781f026ecd777761384fd513aafc8e421e59a58dd64836195b0d000739e2f"},
		{"https://api.github.com", "///app/installations", "v0=e60781f026ecd777761384fd513aafc8e421e59a58dd64836195b0d000739e2f"},
	} {
		if got := sentry.SubnetSignature(subnetSecret, c.base, c.path, "21", []byte(`{"a":1}`)); got != c.want {
			t.Errorf("subnet %q %q: %s", c.base, c.path, got)
		}
	}
	if sentry.SubnetSignature("s", "", "p", "1", nil) != sentry.SubnetSignature("s", "", "p", "1", []byte{}) {
		t.Error("a missing body and an empty body have different signatures")
	}
}

func dialect(t *testing.T, name string) sentry.Dialect {
	t.Helper()
	d, err := sentry.DialectNamed(name)
	if err != nil && !errors.Is(err, sentry.ErrUnsupported) {
		t.Fatal(err)
	}
	return d
}

func TestSign(t *testing.T) {
	t.Parallel()
	const (
		old = "v0=329e04306ec756bdd144a6e77514a442c73d15712c00599467a4a06f1b1252d3"
		now = "v0=e60781f026ecd777761384fd513aafc8e421e59a58dd64836195b0d000739e2f"
		rpc = "Rpcsignature rpc0:eac0737bd7b591376696765ae5d0f5a04aa839ecb23f3564cde7d39e5c33627f"

		rpcPath = "/api/0/internal/rpc/organization/get_org_by_slug/"
		proxied = "/api/0/internal/integration-proxy/app/installations"
	)
	secrets := map[sentry.Signature]string{
		sentry.SignRPC: "a-long-value-that-is-shared-but-also-secret", sentry.SignSubnet: "secret-subnet-signature",
	}
	base := http.Header{sentry.HeaderIntegration: {"21"}, http.CanonicalHeaderKey(sentry.HeaderBaseURL): {"https://api.github.com/"}}
	byPath := base.Clone()
	byPath.Set(sentry.HeaderPath, "app/installations")
	for name, c := range map[string]struct {
		dialect      string
		with         sentry.Signature
		target, body string
		header       http.Header
		want         string // the header that is added; empty: it cannot be signed
	}{
		"rpc":                                    {"dict", sentry.SignRPC, rpcPath, `{"meta":{},"args":{"slug":"acme"}}`, http.Header{}, rpc},
		"rpc, later":                             {"cells", sentry.SignRPC, rpcPath, `{"meta":{},"args":{"slug":"acme"}}`, http.Header{}, rpc},
		"rpc, query not signed":                  {"dict", sentry.SignRPC, rpcPath + "?x=1", `{"meta":{},"args":{"slug":"acme"}}`, http.Header{}, rpc},
		"rpc, escaped path":                      {"dict", sentry.SignRPC, "/api/0/internal/rpc/organization/get%5Forg_by_slug/", `{"meta":{},"args":{"slug":"acme"}}`, http.Header{}, rpc},
		"rpc, release without signatures":        {"tuple-id", sentry.SignRPC, rpcPath, "", http.Header{}, ""},
		"subnet, old":                            {"dict", sentry.SignSubnet, proxied, `{"a":1}`, http.Header{sentry.HeaderIntegration: {"21"}}, old},
		"subnet, with base URL":                  {"dict", sentry.SignSubnet, proxied, `{"a":1}`, base, now},
		"subnet, new":                            {"dict-silo", sentry.SignSubnet, proxied, `{"a":1}`, base, now},
		"subnet, path in header":                 {"dict-silo", sentry.SignSubnet, "/api/0/internal/integration-proxy/", `{"a":1}`, byPath, now},
		"subnet, later release without base URL": {"cells-strict", sentry.SignSubnet, proxied, "", http.Header{sentry.HeaderIntegration: {"21"}}, ""},
		"subnet, without integration":            {"dict", sentry.SignSubnet, proxied, "", http.Header{}, ""},
		"subnet, release without signatures":     {"tuple-id", sentry.SignSubnet, proxied, "", base, ""},
		"no such signature":                      {"dict", "hand", proxied, "", base, ""},
	} {
		header := c.header.Clone()
		err := dialect(t, c.dialect).Sign(c.with, secrets[c.with], c.target, header, []byte(c.body))
		got := header.Get(sentry.HeaderSignature) + header.Get("Authorization")
		if got != c.want || (c.want == "") != errors.Is(err, sentry.ErrUnsigned) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	header := http.Header{}
	if err := dialect(t, "tuple-id").Sign(sentry.Unsigned, "", rpcPath, header, nil); err != nil || len(header) != 0 {
		t.Errorf("unsigned: %v, %v", header, err)
	}
}

// Changing any part of a request changes its signature.
func TestSignaturesCoverEachPart(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringMatching(`[a-z0-9]{1,8}`)
		draw := func() [5]string {
			return [5]string{word.Draw(t, "secret"), word.Draw(t, "base"), word.Draw(t, "path"), word.Draw(t, "identifier"), word.Draw(t, "body")}
		}
		a, b := draw(), draw()
		sign := func(p [5]string) [2]string {
			return [2]string{sentry.RPCSignature(p[0], p[2], []byte(p[4])), sentry.SubnetSignature(p[0], p[1], p[2], p[3], []byte(p[4]))}
		}
		for i := range a {
			changed := a
			changed[i] = b[i]
			one, other := sign(a), sign(changed)
			if covered := i != 1 && i != 3; covered && (one[0] == other[0]) != (a == changed) {
				t.Errorf("rpc: part %d of %v and %v", i, a, changed)
			}
			if (one[1] == other[1]) != (a == changed) {
				t.Errorf("subnet: part %d of %v and %v", i, a, changed)
			}
		}
	})
}
