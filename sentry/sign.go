package sentry

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// Signature is a way in which silos sign requests to one another.
type Signature string

// The signatures.
const (
	Unsigned   Signature = ""
	SignRPC    Signature = "rpc"    // calls of an RPC service
	SignSubnet Signature = "subnet" // a region's request to control's integration proxy
)

// ErrUnsigned is wrapped by the error about a request that cannot be signed.
var ErrUnsigned = errors.New("cannot be signed")

// RPCSignature returns the signature of a call: HMAC-SHA256 over path, without its
// query, and body (sentry/services/hybrid_cloud/rpc.py, generate_request_signature,
// 23.7.1).
func RPCSignature(secret, path string, body []byte) string {
	return "rpc0:" + digest(secret, path+":", body)
}

// SubnetSignature returns the signature of a request to the integration proxy over
// path, the identifier of the organization integration and body, as in releases up to
// 23.7.1, and over baseURL if it is set, as in later ones (sentry/silo/util.py,
// encode_subnet_signature).
func SubnetSignature(secret, baseURL, path, identifier string, body []byte) string {
	covered := "v0|"
	if baseURL != "" {
		covered += strings.TrimRight(baseURL, "/") + "|"
	}
	covered += strings.TrimLeft(path, "/") + "|" + identifier + "|"
	return "v0=" + digest(secret, covered, body)
}

func digest(secret, covered string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(covered))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

// Sign adds the signature that d's releases verify to the header of a request.
// target is the path and query as sent, and secret the one for this kind of
// signature. Errors wrap ErrUnsigned.
func (d Dialect) Sign(with Signature, secret, target string, header http.Header, body []byte) error {
	switch {
	case with == Unsigned:
		return nil
	case !d.Secrets:
		return fmt.Errorf("silos of dialect %s (sentry %s) share no secret: the request %w", d.Name, d.Range(), ErrUnsigned)
	case with == SignRPC:
		signRPC(secret, target, header, body)
		return nil
	case with == SignSubnet:
		return d.signSubnet(secret, target, header, body)
	}
	return fmt.Errorf("unknown signature %q: the request %w", string(with), ErrUnsigned)
}

func signRPC(secret, target string, header http.Header, body []byte) {
	path, _, _ := strings.Cut(target, "?")
	// Sentry verifies Django's path_info, which is not escaped
	// (sentry/api/authentication.py, RpcSignatureAuthentication).
	if plain, err := url.PathUnescape(path); err == nil {
		path = plain
	}
	header.Set("Authorization", "Rpcsignature "+RPCSignature(secret, path, body))
	if len(body) > 0 && header.Get("Content-Type") == "" {
		header.Set("Content-Type", "application/json; charset=utf-8")
	}
}

func (d Dialect) signSubnet(secret, target string, header http.Header, body []byte) error {
	identifier, base := header.Get(HeaderIntegration), header.Get(HeaderBaseURL)
	if identifier == "" {
		return fmt.Errorf("without the header %s the request %w", HeaderIntegration, ErrUnsigned)
	}
	// A release between 23.7.1 and 23.12 added the base URL to the signature.
	if base == "" && d.First.Compare(Release{Year: 23, Month: 12}) >= 0 {
		return fmt.Errorf("without the header %s the request %w", HeaderBaseURL, ErrUnsigned)
	}
	path := header.Get(HeaderPath)
	if path == "" {
		path = strings.TrimPrefix(target, integrationAt)
	}
	header.Set(HeaderSignature, SubnetSignature(secret, base, path, identifier, body))
	return nil
}
