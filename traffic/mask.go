package traffic

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// masked stands for a secret.
const masked = "***"

// secretWords are parts of the names of header fields and query parameters that
// carry secrets: Authorization, Cookie, X-Api-Key, X-Sentry-Auth,
// X-Sentry-Subnet-Signature, X-CSRFToken, …
var secretWords = []string{"auth", "cookie", "token", "secret", "signature", "password", "passwd", "session", "credential", "jwt", "api-key", "api_key", "apikey", "private"}

// harmless are fields that a word above hits for nothing.
var harmless = []string{"www-authenticate", "proxy-authenticate"}

// Masked is an exchange without the secrets in its headers, trailers and query, and
// in fields of bodies that are forms or JSON. Other bodies are as they were.
func (e Exchange) Masked() Exchange {
	e.Request, e.Response = maskBody(e.Request), maskBody(e.Response)
	return e.maskHeads()
}

// Brief is a masked exchange without its bodies.
func (e Exchange) Brief() Exchange {
	e.Request.Body, e.Response.Body = nil, nil
	return e.maskHeads()
}

func (e Exchange) maskHeads() Exchange {
	e.Path = maskQuery(e.Path)
	for _, m := range []*Message{&e.Request, &e.Response} {
		m.Header, m.Trailer = maskHeader(m.Header), maskHeader(m.Trailer)
	}
	return e
}

func maskHeader(header http.Header) http.Header {
	var changed http.Header
	for name, values := range header {
		if !secret(name) && !strings.EqualFold(name, "Referer") && !strings.EqualFold(name, "Location") {
			continue
		}
		if changed == nil {
			changed = header.Clone()
		}
		for i, value := range values {
			changed[name][i] = maskValue(name, value)
		}
	}
	if changed == nil {
		return header
	}
	return changed
}

// maskValue keeps what says of which kind a secret is: the scheme of an
// Authorization, the names and attributes of cookies.
func maskValue(name, value string) string {
	switch lower := strings.ToLower(name); lower {
	case "referer", "location":
		return maskQuery(value)
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

// maskQuery masks the values of parameters whose names speak of a secret, in the
// query and in the fragment of a path or a URL, and a URL's user with the password.
func maskQuery(path string) string {
	if scheme, rest, found := strings.Cut(path, "://"); found {
		authority, after := rest, ""
		if i := strings.IndexAny(rest, "/?#"); i >= 0 {
			authority, after = rest[:i], rest[i:]
		}
		if i := strings.LastIndexByte(authority, '@'); i >= 0 {
			path = scheme + "://" + masked + authority[i:] + after
		}
	}
	path, fragment, hasFragment := strings.Cut(path, "#")
	if before, query, found := strings.Cut(path, "?"); found {
		path = before + "?" + maskPairs(query)
	}
	if hasFragment {
		path += "#" + maskPairs(fragment)
	}
	return path
}

// maskPairs parts pairs by "&" and ";": which of them a silo goes by is its own.
func maskPairs(query string) string {
	var safe strings.Builder
	for len(query) > 0 {
		pair, rest := query, ""
		if i := strings.IndexAny(query, "&;"); i >= 0 {
			pair, rest = query[:i], query[i:]
		}
		name, _, _ := strings.Cut(pair, "=")
		plain, err := url.QueryUnescape(name)
		if err != nil {
			plain = name
		}
		if secret(plain) {
			pair = maskPair(pair)
		}
		safe.WriteString(pair)
		query = rest
		if rest != "" {
			safe.WriteByte(rest[0])
			query = rest[1:]
		}
	}
	return safe.String()
}

func secret(name string) bool {
	lower := strings.ToLower(name)
	if slices.Contains(harmless, lower) {
		return false
	}
	for _, word := range secretWords {
		if strings.Contains(lower, word) {
			return true
		}
	}
	return false
}
