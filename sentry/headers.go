package sentry

import (
	"net/http"
	"strings"
)

// Headers that silos use among themselves (sentry/silo/util.py, 23.7.1 and
// later).
const (
	// HeaderProxyURL is on a forwarded answer: the whole URL that was asked.
	HeaderProxyURL = "X-Sentry-Proxy-URL"
	// HeaderIntegration is the organization integration that a region asks
	// control's integration proxy to speak for.
	HeaderIntegration = "X-Sentry-Subnet-Organization-Integration"
	// HeaderBaseURL is the integration's own address.
	HeaderBaseURL = "X-Sentry-Subnet-Base-URL"
	// HeaderPath is the path below HeaderBaseURL, where it is not in the URL
	// (from the end of 2023 on, PR 61729).
	HeaderPath = "X-Sentry-Subnet-Path"
	// HeaderSignature signs these.
	HeaderSignature = "X-Sentry-Subnet-Signature"
)

const (
	subnetPrefix  = "x-sentry-subnet-"
	proxyFailure  = "x-sentry-internal-proxy-failure"
	integrationAt = "/api/0/internal/integration-proxy/"
)

// DropsHeader tells whether a silo's client keeps a request header of this name to
// itself, whatever its case: what belongs to one connection (RFC 9110, section
// 7.6.1, and wsgiref's list, which Sentry goes by), and what is the next
// request's own (sentry/silo/util.py, INVALID_PROXY_HEADERS). Content-Encoding,
// which Sentry drops too, stays: bodies are handed on as they came.
func DropsHeader(name string) bool {
	switch strings.ToLower(name) {
	case "host", "x-forwarded-proto", "content-length":
		return true
	}
	return hopByHop(name)
}

func hopByHop(name string) bool {
	switch strings.ToLower(name) {
	case "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection",
		"te", "trailer", "trailers", "transfer-encoding", "upgrade":
		return true
	}
	return false
}

// CleanRequest takes out of h what a silo's client does not send on: what is
// DropsHeader, and what Connection names.
func CleanRequest(h http.Header) { clean(h, DropsHeader) }

// CleanResponse takes out of h what does not go back to whoever asked through a
// silo's client: what belongs to one connection, what Connection names, and what
// silos say among themselves (sentry/silo/util.py, INVALID_OUTBOUND_HEADERS).
// Content-Length stays: it is that of the body, which is handed on as it came.
func CleanResponse(h http.Header) {
	clean(h, func(name string) bool { return hopByHop(name) || IsInternalHeader(name) })
}

// IsInternalHeader tells whether an answer's header of this name is for silos alone.
func IsInternalHeader(name string) bool {
	lower := strings.ToLower(name)
	return strings.HasPrefix(lower, subnetPrefix) || lower == proxyFailure
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
			delete(h, name) // and not Del, which knows but one spelling of a name
		}
	}
}
