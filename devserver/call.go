package devserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// call is a request to another silo, with its outcome.
type call struct {
	From    string          `json:"from"`
	To      string          `json:"to"`
	Client  string          `json:"client"` // Sentry's class; empty with rule=off
	Method  string          `json:"method,omitempty"`
	URL     string          `json:"url,omitempty"`
	Status  int             `json:"status,omitempty"` // the other silo's
	Seconds float64         `json:"seconds"`
	Type    string          `json:"content_type,omitempty"`
	Body    string          `json:"body,omitempty"`
	JSON    json.RawMessage `json:"json,omitempty"` // Body, if it is JSON
	Cut     bool            `json:"cut,omitempty"`  // Body was longer than maxBody
	Error   string          `json:"error,omitempty"`
	Detail  string          `json:"detail,omitempty"`
}

// maxBody limits the part of a response that is returned.
const maxBody = 1 << 20

const (
	controlName   = "control"
	controlClient = "ControlSiloClient"
	regionClient  = "RegionSiloClient"
)

// callSilo makes one synchronous request to another silo, at its address in the region
// config, as Sentry's silo client does. 403 is the client's own refusal, 404 an unknown
// region, 503 and 504 are ApiHostError and ApiTimeoutError. Any response from the other
// silo is a 200 here.
func (s *server) callSilo(w http.ResponseWriter, r *http.Request) {
	to := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/call/"), "/")
	query := r.URL.Query()
	e := call{From: s.id.name, To: to}
	if query.Get("rule") != "off" {
		e.Client = clientFor(to)
	}
	path := query.Get("path")
	if path == "" {
		path = "/whoami"
	}
	base, status := s.resolve(&e)
	if status == 0 && !strings.HasPrefix(path, "/") {
		// The path would extend the address's host.
		e.Error, e.Detail, status = "ValueError", "path must begin with a slash, got "+path, http.StatusBadRequest
	}
	if status == 0 {
		e.Method, e.URL = r.Method, base+path
		status = s.send(r, &e)
	}
	writeJSON(w, status, e)
}

func clientFor(to string) string {
	if to == controlName {
		return controlClient
	}
	return regionClient
}

// resolve returns the address of the called silo, or a status other than 0 if the call is
// not allowed. It follows the silo client's constructor (sentry/silo/client.py, 23.7.1).
func (s *server) resolve(e *call) (base string, status int) {
	allowed := e.Client == "" || e.Client == regionClient && s.id.mode == modeControl || e.Client == controlClient && s.id.isRegion()
	if !allowed {
		only := modeControl
		if e.Client == controlClient {
			only = modeRegion
		}
		e.Error = "SiloClientError"
		e.Detail = fmt.Sprintf("Cannot invoke %s from %s. Only available in: %s", e.Client, s.id.mode, only)
		return "", http.StatusForbidden
	}
	conf := s.conf.current.Load()
	if e.To == controlName {
		if conf.control == "" {
			e.Error, e.Detail = "AttributeError", "Configure 'SENTRY_CONTROL_ADDRESS' in sentry configuration settings to use the ControlSiloClient"
			return "", http.StatusInternalServerError
		}
		return conf.control, 0
	}
	target, known := conf.find(e.To)
	if !known {
		e.Error, e.Detail = "RegionResolutionError", conf.unknownRegion(e.To)
		return "", http.StatusNotFound
	}
	return target.Address, 0
}

// send makes the request and records its outcome.
func (s *server) send(from *http.Request, e *call) int {
	begin := time.Now()
	defer func() { e.Seconds = time.Since(begin).Seconds() }()
	request, err := http.NewRequestWithContext(from.Context(), e.Method, e.URL, from.Body)
	if err != nil {
		return e.failed("ApiError", err.Error(), http.StatusServiceUnavailable)
	}
	e.URL = request.URL.Redacted()
	request.ContentLength = from.ContentLength
	for _, name := range []string{"Accept", "Content-Type"} {
		if value := from.Header.Get(name); value != "" {
			request.Header.Set(name, value)
		}
	}
	request.Header.Set("User-Agent", "sentry-silo-client (stand-in)")
	answer, err := s.client.Do(request)
	if err == nil {
		defer answer.Body.Close() //nolint:errcheck // it was only read
		err = e.read(answer)
	}
	network, isNetwork := errors.AsType[net.Error](err)
	switch {
	case err == nil:
		return http.StatusOK
	case isNetwork && network.Timeout():
		return e.failed("ApiTimeoutError", "Timed out attempting to reach host: "+request.URL.Host, http.StatusGatewayTimeout)
	default:
		return e.failed("ApiHostError", "Unable to reach host: "+request.URL.Host+" ("+cause(err)+")", http.StatusServiceUnavailable)
	}
}

// cause returns err without its method and URL, which the call already has.
func cause(err error) string {
	if wrapped, isURL := errors.AsType[*url.Error](err); isURL {
		err = wrapped.Err
	}
	return err.Error()
}

func (e *call) failed(kind, detail string, status int) int {
	e.Error, e.Detail = kind, detail
	return status
}

// read reads the response, up to maxBody.
func (e *call) read(answer *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxBody+1))
	if err != nil {
		return fmt.Errorf("read response: %w", err)
	}
	if len(body) > maxBody {
		body, e.Cut = body[:maxBody], true
	}
	e.Status, e.Type, e.Body = answer.StatusCode, answer.Header.Get("Content-Type"), string(body)
	if json.Valid(body) {
		e.JSON = body
	}
	return nil
}
