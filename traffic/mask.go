package traffic

import (
	"net/http"
	"slices"
	"strings"
)

// masked replaces a secret.
const masked = "***"

// secretWords are parts of the names of headers, parameters and fields that carry
// secrets: Authorization, Cookie, X-Api-Key, X-Sentry-Auth, X-Sentry-Subnet-Signature,
// X-CSRFToken, …
var secretWords = []string{"auth", "cookie", "token", "secret", "signature", "password", "passwd", "session", "credential", "jwt", "api-key", "api_key", "apikey", "private"}

// harmless are headers whose names contain one of secretWords but whose values are not secret.
var harmless = []string{"www-authenticate", "proxy-authenticate"}

// urls are headers whose whole value is a path or a URL.
var urls = []string{"referer", "location", "content-location", "x-original-url", "x-original-uri", "x-rewrite-url", "x-forwarded-uri"}

// Masked returns the exchange without the secrets in its headers, trailers and path, and
// in form and JSON bodies. It recognizes these by their type or, without a type, by
// their beginning. Other bodies are unchanged.
func (e Exchange) Masked() Exchange {
	e.Request, e.Response = maskBody(e.Request), maskBody(e.Response)
	return e.maskHeaders()
}

// Brief returns the masked exchange without its bodies.
func (e Exchange) Brief() Exchange {
	e.Request.Body, e.Response.Body = nil, nil
	return e.maskHeaders()
}

func (e Exchange) maskHeaders() Exchange {
	e.Path = maskQuery(e.Path)
	for _, m := range []*Message{&e.Request, &e.Response} {
		m.Header, m.Trailer = maskHeader(m.Header), maskHeader(m.Trailer)
	}
	return e
}

func maskHeader(header http.Header) http.Header {
	var changed http.Header
	for name, values := range header {
		mask := maskerFor(name)
		for i, value := range values {
			safe := mask(value)
			if safe == value {
				continue
			}
			if changed == nil {
				changed = header.Clone()
			}
			changed[name][i] = safe
		}
	}
	if changed == nil {
		return header
	}
	return changed
}

// maskerFor returns the function that masks the values of a header. Any may contain a URL.
func maskerFor(name string) func(value string) string {
	switch {
	case isSecret(name):
		return func(value string) string { return maskValue(name, value) }
	case slices.Contains(urls, strings.ToLower(name)):
		return maskQuery
	}
	return func(value string) string {
		if strings.ContainsAny(value, "?#@%") {
			return maskText(value, inField)
		}
		return value
	}
}

// maskValue masks a header's value, except the scheme of an Authorization and the names
// and attributes of cookies.
func maskValue(name, value string) string {
	switch strings.ToLower(name) {
	case "authorization", "proxy-authorization":
		if scheme, _, found := strings.Cut(value, " "); found {
			return scheme + " " + masked
		}
	case "cookie":
		parts := strings.Split(value, ";")
		for i, part := range parts {
			parts[i] = maskPair(part)
		}
		return strings.Join(parts, ";")
	case "set-cookie":
		pair, attributes, found := strings.Cut(value, ";")
		if !found {
			return maskPair(pair)
		}
		return maskPair(pair) + ";" + attributes
	}
	return masked
}

func maskPair(pair string) string {
	name, _, found := strings.Cut(pair, "=")
	if !found {
		return masked
	}
	return name + "=" + masked
}

// isSecret reports whether a name suggests that its value is a secret.
func isSecret(name string) bool {
	lower := strings.ToLower(name)
	if slices.Contains(harmless, lower) {
		return false
	}
	return slices.ContainsFunc(secretWords, func(word string) bool { return strings.Contains(lower, word) })
}
