package proxy

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
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
	r.Header, ok = parseFields(rest, func(name, value string) (keep, ok bool) {
		switch name {
		case "Host":
			ok = r.Host == "" && isHost(value)
			r.Host = value
			return false, ok
		case "Connection":
			return true, strings.EqualFold(value, "keep-alive")
		case "Content-Length", "Expect", "Trailer", "Transfer-Encoding", "Upgrade":
			return false, false
		}
		return true, true
	})
	return r, ok && r.Host != ""
}

// parsePlainAnswer makes an answer of a header that is whole, if it is one that
// needs no thought: HTTP/1.1, the last one, with a body of a length that is said
// once, and a connection that can be used again. It refuses whatever is not certain.
// The answer shares head, and body is where its body is read.
func parsePlainAnswer(head string, request *http.Request, body io.Reader) (answer *http.Response, ok bool) {
	line, rest, _ := strings.Cut(head, "\r\n")
	version, status, _ := strings.Cut(line, " ")
	code, reason, _ := strings.Cut(status, " ")
	number, err := strconv.Atoi(code)
	if err != nil || len(code) != len("200") || number < http.StatusOK || !isValue(reason) || version != "HTTP/1.1" ||
		number == http.StatusNoContent || number == http.StatusNotModified || request.Method == http.MethodHead {
		return nil, false
	}
	answer = &http.Response{
		Status: status, StatusCode: number, Proto: version, ProtoMajor: 1, ProtoMinor: 1, ContentLength: -1, Request: request,
	}
	answer.Header, ok = parseFields(rest, func(name, value string) (keep, ok bool) {
		switch name {
		case "Content-Length":
			length, err := strconv.ParseUint(value, 10, 63)
			ok = err == nil && answer.ContentLength < 0
			answer.ContentLength = int64(length)
			return true, ok
		case "Connection":
			return true, strings.EqualFold(value, "keep-alive")
		case "Trailer", "Transfer-Encoding", "Upgrade":
			return false, false
		}
		return true, true
	})
	switch {
	case !ok || answer.ContentLength < 0:
		return nil, false
	case answer.ContentLength == 0:
		answer.Body = http.NoBody
	default:
		answer.Body = &sizedBody{in: body, left: answer.ContentLength}
	}
	return answer, true
}

// sizedBody is a body of known length.
type sizedBody struct {
	in   io.Reader
	left int64
}

func (b *sizedBody) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	n, err := b.in.Read(p[:min(int64(len(p)), b.left)])
	switch b.left -= int64(n); {
	case b.left == 0:
		return n, io.EOF
	case errors.Is(err, io.EOF):
		return n, io.ErrUnexpectedEOF
	}
	return n, err
}

// Close leaves what has not been read to who has the connection.
func (b *sizedBody) Close() error { return nil }

// parseFields makes a header of lines, the last of which is empty. take tells of each
// field, by its canonical name, whether it is kept, and whether all can go on.
func parseFields(lines string, take func(name, value string) (keep, ok bool)) (header http.Header, ok bool) {
	fields := strings.Count(lines, "\r\n") - 1
	values := make([]string, fields)
	header = make(http.Header, fields)
	for i := range fields {
		var line string
		line, lines, _ = strings.Cut(lines, "\r\n")
		name, value, ok := strings.Cut(line, ":")
		value = strings.Trim(value, " \t")
		if !ok || !isToken(name) || !isValue(value) {
			return nil, false
		}
		name = http.CanonicalHeaderKey(name)
		keep, ok := take(name, value)
		if !ok {
			return nil, false
		}
		if said := header[name]; said != nil && keep {
			header[name] = append(said, value)
		} else if keep {
			values[i] = value
			header[name] = values[i : i+1 : i+1]
		}
	}
	return header, true
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
