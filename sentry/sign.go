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

// Signature is a way in which silos sign what they send one another.
type Signature string

// The signatures.
const (
	Unsigned   Signature = ""
	SignRPC    Signature = "rpc"    // calls of a service, control's or a region's
	SignSubnet Signature = "subnet" // a region's to control's integration proxy
)

// ErrUnsigned is wrapped by the error about a signature that cannot be made.
var ErrUnsigned = errors.New("cannot be signed")

// RPCSignature signs a call: HMAC-SHA256 over path, without its query, and body
// (sentry/services/hybrid_cloud/rpc.py, generate_request_signature, 23.7.1).
func RPCSignature(secret, path string, body []byte) string {
	return "rpc0:" + digest(secret, path+":", body)
}

// SubnetSignature signs a request to the integration proxy over path, the
// identifier of the organization integration and body, as releases up to 23.7.1
// do; and over baseURL too where that is not empty, as later ones do
// (sentry/silo/util.py, encode_subnet_signature).
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

// Sign signs a request of the form that d's releases verify, by adding to its
// header. target is path and query as they are sent; secret is the one for the
// signature's kind. Errors wrap ErrUnsigned.
func (d Dialect) Sign(with Signature, secret, target string, header http.Header, body []byte) error {
	switch {
	case with == Unsigned:
		return nil
	case !d.signs(with):
		return fmt.Errorf("silos of dialect %s (sentry %s) share no secret: the request %w", d.Name, d.Range(), ErrUnsigned)
	case with == SignRPC:
		signRPC(secret, target, header, body)
		return nil
	case with == SignSubnet:
		return d.signSubnet(secret, target, header, body)
	}
	return fmt.Errorf("no signature is called %q: the request %w", string(with), ErrUnsigned)
}

// signed is the first release whose dialect signs calls (from its patch 23.7.1 on).
func signed() Release { return Release{Year: 23, Month: 7} }

func (d Dialect) signs(with Signature) bool {
	return d.First.Compare(signed()) >= 0 || with == SignSubnet && d.Secrets
}

func signRPC(secret, target string, header http.Header, body []byte) {
	path, _, _ := strings.Cut(target, "?")
	// Sentry verifies against Django's path_info, which is without escapes
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
	switch d.subnetBase() {
	case never:
		base = ""
	case always:
		if base == "" {
			return fmt.Errorf("without the header %s the request %w", HeaderBaseURL, ErrUnsigned)
		}
	case asSent:
	}
	path := header.Get(HeaderPath)
	if path == "" {
		path = strings.TrimPrefix(target, integrationAt)
	}
	header.Set(HeaderSignature, SubnetSignature(secret, base, path, identifier, body))
	return nil
}

// covers is whether a subnet signature is over the integration's base URL.
type covers int

const (
	never  covers = iota
	asSent        // where the request has one: releases of both kinds speak the dialect
	always
)

// subnetBase tells it of d: the base URL came after 23.7.1 and before 23.12.
func (d Dialect) subnetBase() covers {
	switch {
	case d.First.Compare(signed()) < 0:
		return never
	case d.First.Compare(Release{Year: 23, Month: 12}) < 0:
		return asSent
	}
	return always
}
