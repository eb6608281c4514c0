package tunnels

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"

	"golang.ngrok.com/ngrok"
)

// Class says what may help against an Error.
type Class int

// The classes.
const (
	Fatal     Class = iota // nothing but another configuration, account or program
	Conflict               // somebody else holds what is asked for: once they let go, trying again helps
	Transient              // trying again may help
)

func (c Class) String() string {
	switch c {
	case Conflict:
		return "conflict"
	case Transient:
		return "transient"
	default:
		return "fatal"
	}
}

// Error is why a tunnel is not online, in words for its user. It never holds an
// authtoken.
type Error struct {
	Code  string // ERR_NGROK_… of the service, or one of silo's own words
	Text  string // one line
	Hint  string // what to do, one line; may be empty
	Class Class
}

// Error is Text with the code of the service, where there is one.
func (e *Error) Error() string {
	if strings.HasPrefix(e.Code, "ERR_") {
		return e.Text + " (" + e.Code + ")"
	}
	return e.Text
}

// silo's own codes, for what the service has no code for.
const (
	codeNoToken     = "no_authtoken"
	codeRootCAs     = "bad_root_cas"
	codeOptions     = "bad_options"  // an option that the service could not accept
	codeUnreachable = "unreachable"  // no connection
	codeUntrusted   = "untrusted"    // a connection, but not to somebody we trust
	codeNoAnswer    = "no_answer"    // a connection, and silence
	codeLost        = "disconnected" // the connection broke
	codeStopped     = "stopped"      // the service closed the endpoint
	codeEdge        = "edge_failed"  // the local listener failed
)

// codePattern finds a code in what the service says; an endpoint that cannot be
// bound again after a reconnect is reported by the SDK as bare text.
var codePattern = regexp.MustCompile(`ERR_NGROK_\d+`)

// words are what an error is put into words with.
type words struct {
	token  string // never shown
	source string // of the token
	server string
	domain string
}

// classify makes an Error of what the SDK reported.
func (w words) classify(err error) *Error {
	if known, is := errors.AsType[*Error](err); is {
		return known
	}
	code, text := codePattern.FindString(err.Error()), err.Error()
	if said, is := errors.AsType[ngrok.Error](err); is {
		if said.ErrorCode() != "" {
			code = said.ErrorCode()
		}
		text = said.Msg()
	}
	if code != "" {
		return w.coded(code, text)
	}
	return w.uncoded(err)
}

// coded makes an Error of a code of the service. What the service said besides
// is shown only for codes that are not in the table: it may repeat an authtoken.
func (w words) coded(code, said string) *Error {
	m, known := meanings[code]
	if !known {
		return &Error{
			Code: code, Class: Fatal, Text: "the ngrok service refused: " + w.clean(said),
			Hint: "see https://ngrok.com/docs/errors/" + strings.ToLower(code),
		}
	}
	fill := strings.NewReplacer("{source}", w.source, "{domain}", w.domain)
	return &Error{Code: code, Class: m.class, Text: fill.Replace(m.text), Hint: fill.Replace(m.hint)}
}

// uncoded makes an Error of a failure on the way to the service.
func (w words) uncoded(err error) *Error {
	var (
		dns        *net.DNSError
		authority  x509.UnknownAuthorityError
		hostname   x509.HostnameError
		invalid    x509.CertificateInvalidError
		unverified *tls.CertificateVerificationError
		noTLS      tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &dns):
		return &Error{
			Code: codeUnreachable, Class: Transient, Text: fmt.Sprintf("cannot find the ngrok service: no address for %s", dns.Name),
			Hint: "check the network, or tunnels.ngrok.server_addr",
		}
	case errors.As(err, &authority), errors.As(err, &hostname), errors.As(err, &invalid), errors.As(err, &unverified):
		return &Error{
			Code: codeUntrusted, Class: Fatal, Text: fmt.Sprintf("do not trust what answers at %s: %v", w.server, root(err)),
			Hint: "something between here and ngrok opens TLS, or tunnels.ngrok.root_cas names another authority",
		}
	case errors.As(err, &noTLS):
		return &Error{
			Code: codeUntrusted, Class: Fatal, Text: fmt.Sprintf("what answers at %s is not the ngrok service: it does not speak TLS", w.server),
			Hint: "check tunnels.ngrok.server_addr",
		}
	case errors.Is(err, context.DeadlineExceeded):
		return w.silent()
	}
	var dial *net.OpError
	if errors.As(err, &dial) && dial.Op == "dial" {
		return &Error{
			Code: codeUnreachable, Class: Transient, Text: fmt.Sprintf("cannot reach the ngrok service at %s: %v", w.server, reason(dial)),
			Hint: "check the network, a firewall, or tunnels.ngrok.server_addr",
		}
	}
	return &Error{
		Code: codeLost, Class: Transient, Text: "lost the ngrok service: " + w.clean(root(err).Error()),
		Hint: "silo connects again by itself once the network allows it",
	}
}

// without is what ends the session for those endpoints that the service does not
// speak of when it refuses to bind another one again.
func (w words) without(said string) *Error {
	return &Error{
		Code: codeLost, Class: Transient, Text: "the ngrok session is made anew, without an endpoint that the service refused: " + codePattern.FindString(said),
		Hint: "silo tunnels shows which one",
	}
}

func (w words) silent() *Error {
	return &Error{
		Code: codeNoAnswer, Class: Transient, Text: fmt.Sprintf("the ngrok service at %s does not answer", w.server),
		Hint: "check the network, a firewall, or tunnels.ngrok.server_addr",
	}
}

// clean makes one short line of what came from elsewhere, without the token.
func (w words) clean(text string) string {
	if w.token != "" {
		text = strings.ReplaceAll(text, w.token, "(authtoken)")
	}
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > 200 {
		return string(runes[:200]) + " …"
	}
	return text
}

// root is the innermost error, without the layers' prefixes.
func root(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

func reason(err *net.OpError) string {
	if err.Timeout() {
		return "no connection in time"
	}
	return root(err).Error()
}
