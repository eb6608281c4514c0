package client

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"silo/proxy"
	"silo/state"
)

// statusError is a status that a healthy silo does not return.
type statusError struct {
	path      string
	got, want int
}

func (e *statusError) Error() string {
	return fmt.Sprintf("%s answers %d %s, not %d", e.path, e.got, http.StatusText(e.got), e.want)
}

// modeError is an answer that only a silo of another mode gives.
type modeError struct{ mode string }

func (e *modeError) Error() string { return "a " + e.mode + " silo answers there" }

// browserWarning is the code of ngrok's warning page for browsers.
const browserWarning = "ERR_NGROK_6024"

// describe formats an error without repeating the silo and the URL.
func describe(err error) string {
	if e, ok := errors.AsType[*net.DNSError](err); ok {
		return "no DNS address for " + e.Name
	}
	if e, ok := errors.AsType[*TunnelError](err); ok {
		switch {
		case e.Code == browserWarning:
			return "ngrok's browser warning answers instead of the silo (" + e.Code + ")"
		case e.Ngrok():
			return fmt.Sprintf("ngrok answers %d instead of the silo: %s", e.Status, e.Code)
		}
		return fmt.Sprintf("its tunnel answers %d instead of the silo: %s", e.Status, proxy.Fault(e.Code).Message(e.Silo))
	}
	if _, ok := errors.AsType[*TimeoutError](err); ok {
		return "no answer in time"
	}
	if e, ok := errors.AsType[*HostError](err); ok {
		return strings.TrimPrefix(e.Err.Error(), "tls: ")
	}
	return err.Error()
}

// hint returns a hint for fixing an error.
func (p *probe) hint(step string, err error) string {
	logs := "silo logs " + p.silo.Name
	if p.silo.State != state.Ready {
		return p.stateHint()
	}
	if e, ok := errors.AsType[*TunnelError](err); ok {
		if e.Ngrok() {
			return "silo tunnels shows the state of its tunnel; https://ngrok.com/docs/errors/" + strings.ToLower(e.Code) + " explains the error"
		}
		return logs
	}
	if _, ok := errors.AsType[*modeError](err); ok {
		switch {
		case p.way.Via == Direct:
			return "silo restart " + p.silo.Name
		case p.snapshot.Provider == "external":
			return "the address of " + p.silo.Name + " leads to another silo: check url and domain of both in silo.toml, and the servers behind them"
		}
		return "silo tunnels shows where each address leads"
	}
	if e, ok := errors.AsType[*statusError](err); ok {
		if e.got == http.StatusBadRequest && p.way.Via == Address {
			return "Sentry answers 400 to a host that is not in its ALLOWED_HOSTS: silo config check, " + logs
		}
		return logs
	}
	if p.way.Via == Direct {
		return logs
	}
	return p.networkHint(step, err)
}

// networkHint returns a hint for a failure between this machine and a silo's address.
func (p *probe) networkHint(step string, err error) string {
	what := "its tunnel"
	if p.snapshot.Provider == "external" {
		what = "url or domain of " + p.silo.Name + " in silo.toml, and that the server behind it runs"
	}
	switch step {
	case DNS:
		return "check the name: " + what
	case TLS:
		if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
			return "SSL_CERT_FILE names the authorities that silo trusts; " + authoritiesOf(p.snapshot.Dialect)
		}
		return "check whether the server there speaks TLS for that name: " + what
	}
	return "check " + what
}

// authoritiesOf returns which authorities Sentry's silo clients trust. Later clients send a
// prepared request, for which the requests library ignores its environment variables
// (shared_integrations/client/base.py, 23.3.0 and 23.5.2).
func authoritiesOf(dialect string) string {
	if dialect == "tuple-id" {
		return "Sentry's requests use REQUESTS_CA_BUNDLE"
	}
	return "Sentry's silo clients trust only the file that python -m certifi prints, in Sentry's environment"
}

// stateHint returns a hint for making a silo ready.
func (p *probe) stateHint() string {
	name := p.silo.Name
	if p.silo.Debug {
		return "see the terminal of silo debug " + name
	}
	if !p.snapshot.Manages(p.silo) {
		return "silo run " + name + " -- CMD… starts it in your terminal"
	}
	switch p.silo.State {
	case state.Stopped, state.Stopping:
		return "silo start " + name
	case state.Failed:
		return "silo logs " + name + " shows why, silo restart " + name + " tries again"
	case state.Planned, state.Starting:
		return "it is still starting: silo status --watch"
	default:
		return "silo logs " + name
	}
}
