package proxy

import (
	"errors"
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
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
			ok = r.Host == "" && value != "" && httpguts.ValidHostHeader(value)
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
	if err != nil || len(code) != len("200") || number < http.StatusOK || !httpguts.ValidHeaderFieldValue(reason) || version != "HTTP/1.1" ||
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
		if !ok || !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			return nil, false
		}
		name, value = http.CanonicalHeaderKey(name), textproto.TrimString(value) // which has no other space by now
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
	ok = version == "HTTP/1.1" && httpguts.ValidHeaderFieldName(method) && // a token, as a method is
		method != http.MethodConnect && method != http.MethodPost && // net/http forgives what old clients send behind it
		strings.HasPrefix(target, "/")
	for i := range len(target) {
		ok = ok && target[i] > ' ' && target[i] <= '~'
	}
	return method, target, ok
}
