package sentry

import (
	"net/http"
	"strings"
)

// Headers that silos use among themselves (sentry/silo/util.py, 23.7.1 and
// later).
const (
	// HeaderProxyURL is on a forwarded response: the full URL of the request.
	HeaderProxyURL = "X-Sentry-Proxy-URL"
	// HeaderIntegration is the organization integration that control's integration proxy
	// acts for.
	HeaderIntegration = "X-Sentry-Subnet-Organization-Integration"
	// HeaderBaseURL is the integration's own address.
	HeaderBaseURL = "X-Sentry-Subnet-Base-URL"
	// HeaderPath is the path below HeaderBaseURL, if it is not in the URL (from the end of
	// 2023 on, PR 61729).
	HeaderPath = "X-Sentry-Subnet-Path"
	// HeaderSignature is the signature of these.
	HeaderSignature = "X-Sentry-Subnet-Signature"
)

const (
	subnetPrefix  = "x-sentry-subnet-"
	proxyFailure  = "x-sentry-internal-proxy-failure"
	integrationAt = "/api/0/internal/integration-proxy/"
)

// DropsHeader reports whether Sentry's silo clients drop a request header of this name,
// ignoring case: hop-by-hop headers (RFC 9110, section 7.6.1, and wsgiref's list, which
// Sentry uses) and those that each request sets itself (sentry/silo/util.py,
// INVALID_PROXY_HEADERS). Sentry also drops Content-Encoding, which silo keeps, since
// it forwards bodies unchanged.
func DropsHeader(name string) bool {
	switch strings.ToLower(name) {
	case "host", "x-forwarded-proto", "content-length":
		return true
	}
	return hopByHop(name)
}

// hopByHop has one more name than net/http/httputil: "Trailers", an error in RFC 2616
// that wsgiref repeats.
func hopByHop(name string) bool {
	switch strings.ToLower(name) {
	case "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection",
		"te", "trailer", "trailers", "transfer-encoding", "upgrade":
		return true
	}
	return false
}

// CleanRequest removes the headers that DropsHeader reports, and those that Connection
// names.
func CleanRequest(h http.Header) { clean(h, DropsHeader) }

// CleanResponse removes hop-by-hop headers, those that Connection names, and those that
// only silos exchange (sentry/silo/util.py, INVALID_OUTBOUND_HEADERS). It keeps
// Content-Length, since silo forwards bodies unchanged.
func CleanResponse(h http.Header) {
	clean(h, func(name string) bool {
		lower := strings.ToLower(name)
		return hopByHop(name) || lower == proxyFailure || strings.HasPrefix(lower, subnetPrefix)
	})
}

func clean(h http.Header, drop func(string) bool) {
	named := map[string]bool{}
	for name, values := range h {
		if !strings.EqualFold(name, "Connection") {
			continue
		}
		for option := range strings.SplitSeq(strings.Join(values, ","), ",") {
			named[strings.ToLower(strings.TrimSpace(option))] = true
		}
	}
	for name := range h {
		if drop(name) || named[strings.ToLower(name)] {
			delete(h, name) // Del finds only the canonical spelling
		}
	}
}
