package client

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"silo/state"
)

// statusError is an answer with a status that a healthy silo does not give.
type statusError struct {
	path      string
	got, want int
}

func (e *statusError) Error() string {
	return fmt.Sprintf("%s answers %d %s, not %d", e.path, e.got, http.StatusText(e.got), e.want)
}

// modeError is an answer of another mode.
type modeError struct{ mode string }

func (e *modeError) Error() string { return "a " + e.mode + " silo answers there" }

// browserWarning is the page by which ngrok asks a browser first whether it means
// to go there.
const browserWarning = "ERR_NGROK_6024"

// words are an error and its mend, for a person.
func (t *trip) words(step string, err error) (text, hint string) {
	hint = t.mend(step, err)
	var dns *net.DNSError
	var instead *TunnelError
	var late *TimeoutError
	var gone *HostError
	switch {
	case errors.As(err, &dns):
		return "no address is found for " + dns.Name, hint
	case errors.As(err, &instead) && instead.Code == browserWarning:
		return "ngrok's browser warning answers in its place (" + instead.Code + ")", hint
	case errors.As(err, &instead) && instead.Ngrok():
		return fmt.Sprintf("ngrok answers %d in its place: %s", instead.Status, instead.Code), hint
	case errors.As(err, &instead):
		words, _, _ := strings.Cut(instead.Error(), " (its tunnel")
		return fmt.Sprintf("its tunnel answers %d in its place: %s", instead.Status, words), hint
	case errors.As(err, &late):
		return "no answer in time", hint
	case errors.As(err, &gone):
		return strings.TrimPrefix(gone.Err.Error(), "tls: "), hint
	}
	return err.Error(), hint
}

// mend is what may help.
func (t *trip) mend(step string, err error) string {
	var instead *TunnelError
	var status *statusError
	var other *modeError
	name := t.silo.Name
	switch {
	case t.silo.State != state.Ready:
		return t.wake()
	case errors.As(err, &instead) && instead.Ngrok():
		return "silo tunnels shows how its tunnel stands; https://ngrok.com/docs/errors/" + strings.ToLower(instead.Code) + " tells what it means"
	case errors.As(err, &other) && t.way.Via == Address:
		return t.elsewhere()
	case errors.As(err, &other):
		return "silo restart " + name
	case errors.As(err, &status) && status.got == http.StatusBadRequest && t.way.Via == Address:
		return "Sentry answers 400 to a host that is not in its ALLOWED_HOSTS: silo config check, silo logs " + name
	case errors.As(err, &status), errors.As(err, &instead), t.way.Via == Direct:
		return "silo logs " + name
	}
	return t.onTheWay(step, err)
}

// onTheWay is a mend for what fails between here and a silo's address.
func (t *trip) onTheWay(step string, err error) string {
	where := "its tunnel"
	if t.snapshot.Provider == "external" {
		where = "url or domain of " + t.silo.Name + " in silo.toml, and that what serves it runs"
	}
	var authority x509.UnknownAuthorityError
	switch {
	case step == DNS:
		return "check the name: " + where
	case step == TLS && errors.As(err, &authority):
		return "SSL_CERT_FILE names the authorities that silo trusts; Sentry's requests go by REQUESTS_CA_BUNDLE"
	case step == TLS:
		return "check whether what answers there speaks TLS for that name: " + where
	}
	return "check " + where
}

// elsewhere is a mend for an address that leads to another silo.
func (t *trip) elsewhere() string {
	if t.snapshot.Provider == "external" {
		return "the address of " + t.silo.Name + " leads to another silo: check url and domain of both in silo.toml, and what serves them"
	}
	return "silo tunnels shows what each address leads to"
}

// wake is a mend for a silo that is not ready.
func (t *trip) wake() string {
	name := t.silo.Name
	switch {
	case !t.snapshot.IsManaged():
		return "silo run " + name + " -- CMD… starts it on a terminal of yours"
	case t.silo.State == state.Stopped || t.silo.State == state.Stopping:
		return "silo start " + name
	case t.silo.State == state.Failed:
		return "silo logs " + name + " shows why, silo restart " + name + " tries again"
	case t.silo.State == state.Planned || t.silo.State == state.Starting:
		return "it is still on its way up: silo status --watch"
	}
	return "silo logs " + name
}
