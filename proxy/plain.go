package proxy

import (
	"net/http"
	"net/url"
	"strings"
)

// parsePlain makes a request of a header that is whole, in a copy of base, if it is
// one that an inlet serves: HTTP/1.1 by the letter, with a path and one Host, without
// a body, an upgrade, or anything else that its server has to do something about.
// It refuses whatever is not certain. The request shares head.
func parsePlain(head string, base *http.Request) (r *http.Request, ok bool) {
	line, rest, _ := strings.Cut(head, "\r\n")
	r = new(http.Request)
	*r = *base
	if r.Method, r.RequestURI, ok = plainLine(line); !ok {
		return nil, false
	}
	var err error
	if r.URL, err = url.ParseRequestURI(r.RequestURI); err != nil {
		return nil, false
	}
	fields := strings.Count(rest, "\r\n") - 1 // the last line is empty
	values := make([]string, fields)
	r.Header = make(http.Header, fields)
	for i := range fields {
		line, rest, _ = strings.Cut(rest, "\r\n")
		name, value, ok := strings.Cut(line, ":")
		value = strings.Trim(value, " \t")
		if !ok || !isToken(name) || !isValue(value) {
			return nil, false
		}
		switch name = http.CanonicalHeaderKey(name); name {
		case "Host":
			if r.Host != "" || !isHost(value) {
				return nil, false
			}
			r.Host = value
			continue
		case "Connection":
			if !strings.EqualFold(value, "keep-alive") {
				return nil, false
			}
		case "Content-Length", "Expect", "Trailer", "Transfer-Encoding", "Upgrade":
			return nil, false
		}
		if said := r.Header[name]; said != nil {
			r.Header[name] = append(said, value)
			continue
		}
		values[i] = value
		r.Header[name] = values[i : i+1 : i+1]
	}
	return r, r.Host != ""
}

func plainLine(line string) (method, target string, ok bool) {
	method, rest, _ := strings.Cut(line, " ")
	target, version, _ := strings.Cut(rest, " ")
	ok = version == "HTTP/1.1" && isToken(method) && method != http.MethodConnect && strings.HasPrefix(target, "/")
	for i := range len(target) {
		ok = ok && target[i] > ' ' && target[i] <= '~'
	}
	return method, target, ok
}

// isToken tells of a method or a field's name (RFC 9110, section 5.6.2).
func isToken(word string) bool {
	for i := range len(word) {
		if !inToken[word[i]] {
			return false
		}
	}
	return word != ""
}

// isValue tells of a field's value (RFC 9110, section 5.5).
func isValue(value string) bool {
	for i := range len(value) {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// isHost tells of a host that is a name or an address, with or without a port.
func isHost(value string) bool {
	for i := range len(value) {
		if !inHost[value[i]] {
			return false
		}
	}
	return value != ""
}

const alphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

var (
	inToken = bytesOf(alphanumeric + "!#$%&'*+-.^_`|~")
	inHost  = bytesOf(alphanumeric + "-._:[]")
)

func bytesOf(all string) (set [256]bool) {
	for i := range len(all) {
		set[all[i]] = true
	}
	return set
}
