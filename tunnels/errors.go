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

// Class groups Errors by how they can be fixed.
type Class int

// The classes.
const (
	Fatal     Class = iota // needs another configuration, account or program
	Conflict               // retry once another agent releases the resource
	Transient              // retry
)

// Error explains to the user why a tunnel is not online. It never contains an
// authtoken.
type Error struct {
	Code  string // ERR_NGROK_… from the service, or one of silo's own codes
	Text  string // one line
	Hint  string // hint, one line; may be empty
	Class Class
}

// Error returns Text and the service's code, if any.
func (e *Error) Error() string {
	if strings.HasPrefix(e.Code, "ERR_") {
		return e.Text + " (" + e.Code + ")"
	}
	return e.Text
}

// silo's own codes for failures that have no service code.
const (
	codeNoToken     = "no_authtoken"
	codeRootCAs     = "bad_root_cas"
	codeOptions     = "bad_options"
	codeUnreachable = "unreachable"  // no connection
	codeUntrusted   = "untrusted"    // connected, but not trusted
	codeNoAnswer    = "no_answer"    // connected, but no answer
	codeLost        = "disconnected" // the connection broke
	codeStopped     = "stopped"      // the service closed the endpoint
	codeListener    = "edge_failed"  // the local listener failed
)

// codePattern finds a code in an error from the service. The SDK's errors are typed,
// except when an endpoint cannot be bound again after a reconnect.
var codePattern = regexp.MustCompile(`ERR_NGROK_\d+`)

// classifier turns SDK errors into Errors.
type classifier struct {
	token  string // never shown
	source string // source of the token
	server string
	domain string
}

func (c classifier) classify(err error) *Error {
	if known, ok := errors.AsType[*Error](err); ok {
		return known
	}
	code, text := codePattern.FindString(err.Error()), err.Error()
	if typed, ok := errors.AsType[ngrok.Error](err); ok {
		if typed.ErrorCode() != "" {
			code = typed.ErrorCode()
		}
		text = typed.Msg()
	}
	if code != "" {
		return c.fromCode(code, text)
	}
	return c.fromNetwork(err)
}

// fromCode makes an Error from a service code. The service's text may repeat an
// authtoken, so it is shown only for an unknown code.
func (c classifier) fromCode(code, text string) *Error {
	m, known := meanings[code]
	if !known {
		return &Error{code, "the ngrok service refused: " + c.clean(text), "see https://ngrok.com/docs/errors/" + strings.ToLower(code), Fatal}
	}
	fill := strings.NewReplacer("{source}", c.source, "{domain}", c.domain)
	return &Error{Code: code, Class: m.class, Text: fill.Replace(m.text), Hint: fill.Replace(m.hint)}
}

const hintNetwork = "check the network, a firewall, or tunnels.ngrok.server_addr"

// fromNetwork makes an Error from a failure to reach the service.
func (c classifier) fromNetwork(err error) *Error {
	var (
		dns        *net.DNSError
		authority  x509.UnknownAuthorityError
		hostname   x509.HostnameError
		invalid    x509.CertificateInvalidError
		unverified *tls.CertificateVerificationError
		noTLS      tls.RecordHeaderError
		dial       *net.OpError
	)
	switch {
	case errors.As(err, &dns):
		return &Error{codeUnreachable, "cannot find the ngrok service: no address for " + dns.Name, hintNetwork, Transient}
	case errors.As(err, &authority), errors.As(err, &hostname), errors.As(err, &invalid), errors.As(err, &unverified):
		return &Error{
			Code: codeUntrusted, Class: Fatal, Text: fmt.Sprintf("the certificate of %s is not trusted: %v", c.server, rootCause(err)),
			Hint: "a proxy in between intercepts TLS, or tunnels.ngrok.root_cas names another CA",
		}
	case errors.As(err, &noTLS):
		return &Error{codeUntrusted, c.server + " is not the ngrok service: it does not speak TLS", "check tunnels.ngrok.server_addr", Fatal}
	case errors.Is(err, context.DeadlineExceeded):
		return c.noAnswer()
	case errors.As(err, &dial) && dial.Op == "dial":
		reason := rootCause(dial).Error()
		if dial.Timeout() {
			reason = "timeout"
		}
		return &Error{codeUnreachable, "cannot reach the ngrok service at " + c.server + ": " + reason, hintNetwork, Transient}
	}
	return &Error{
		Code: codeLost, Class: Transient, Text: "lost the connection to the ngrok service: " + c.clean(rootCause(err).Error()),
		Hint: "silo reconnects automatically once the network works again",
	}
}

func (c classifier) noAnswer() *Error {
	return &Error{codeNoAnswer, "the ngrok service at " + c.server + " does not answer", hintNetwork, Transient}
}

// stoppedBy returns why the service stopped an endpoint; nil if err, from its Accept,
// has another cause.
func (c classifier) stoppedBy(err error) *Error {
	var typed ngrok.Error
	if !errors.As(err, &typed) {
		return nil
	}
	if typed.ErrorCode() != "" {
		return c.fromCode(typed.ErrorCode(), typed.Msg())
	}
	text := "the ngrok service has stopped this endpoint"
	if message := c.clean(typed.Msg()); message != "" {
		text += ": " + message
	}
	return &Error{Code: codeStopped, Class: Fatal, Text: text, Hint: "silo down && silo up"}
}

// clean turns untrusted text into one short line, without the token.
func (c classifier) clean(text string) string {
	if c.token != "" {
		text = strings.ReplaceAll(text, c.token, "(authtoken)")
	}
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > 200 {
		return string(runes[:200]) + " …"
	}
	return text
}

// rootCause returns the innermost error, without the prefixes of its wrappers.
func rootCause(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}
