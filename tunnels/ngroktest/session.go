package ngroktest

import (
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.ngrok.com/muxado/v2"
)

const edgeHTTPS = "3" // msg.go, EdgeTypeHTTPS

// session is one agent's connection.
type session struct {
	service   *Service
	mux       muxado.TypedStreamSession
	id        string
	userAgent string
}

// binding is one endpoint.
type binding struct {
	Endpoint
	session *session
	token   string
	proto   string
	key     string // in lower case; unlike ID, new for each binding
}

func (s *Service) serveAgent(raw net.Conn) {
	conn := &frozenConn{Conn: raw, service: s, gone: make(chan struct{})}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		_ = raw.Close()
		return
	}
	s.conns[conn] = true
	s.mu.Unlock()

	agent := &session{service: s}
	agent.mux = muxado.NewTypedStreamSession(muxado.Server(tls.Server(conn, s.authority.config()), nil))
	var streams sync.WaitGroup
	for {
		opened, err := agent.mux.AcceptTypedStream()
		if err != nil {
			break
		}
		streams.Go(func() { agent.serve(opened) })
	}
	_ = conn.Close()
	_ = agent.mux.Close()
	streams.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, conn)
	s.remove(agent)
}

// remove removes an agent and its endpoints. The caller must hold mu.
func (s *Service) remove(agent *session) {
	delete(s.sessions, agent)
	maps.DeleteFunc(s.bindings, func(_ string, b *binding) bool { return b.session == agent })
}

// serve answers one request. The agent does not half-close, so exactly one JSON
// value is read.
func (a *session) serve(typed muxado.TypedStream) {
	conn := &stream{Conn: typed}
	defer func() { _ = conn.Close() }()
	switch typed.StreamType() {
	case streamHeartbeat:
		a.service.echo(conn)
	case streamAuth:
		reply(a, conn, a.service.auth)
	case streamBind:
		reply(a, conn, a.service.bind)
	case streamUnbind:
		reply(a, conn, a.service.unbind)
	case streamSrvInfo:
		reply(a, conn, func(*session, struct{}) srvInfoReply { return srvInfoReply{Region: "test"} })
	}
}

// reply decodes a request and sends what handle returns for it.
func reply[Request, Reply any](a *session, conn net.Conn, handle func(*session, Request) Reply) {
	var request Request
	if json.NewDecoder(conn).Decode(&request) != nil {
		return
	}
	answer := handle(a, request)
	a.service.mu.Lock()
	delay := a.service.delay
	a.service.mu.Unlock()
	time.Sleep(delay) //nolint:forbidigo // the delay that a test asked for
	_ = json.NewEncoder(conn).Encode(answer)
}

// echo answers an agent's heartbeats. The service does not send any.
func (s *Service) echo(conn net.Conn) {
	beat := make([]byte, 4)
	for {
		if _, err := io.ReadFull(conn, beat); err != nil {
			return
		}
		if _, err := conn.Write(beat); err != nil {
			return
		}
		s.mu.Lock()
		s.beats++
		s.mu.Unlock()
	}
}

func (s *Service) auth(agent *session, request authRequest) authReply {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.auths++
	token := request.Extra.Authtoken
	code := s.authCode
	switch {
	case code != "":
	case token == "":
		code = "ERR_NGROK_4018"
	case len(s.options.Tokens) > 0 && !slices.Contains(s.options.Tokens, token):
		code = "ERR_NGROK_107"
	}
	if code != "" {
		// The real service also repeats the authtoken in its text.
		return authReply{Version: "3", Error: refusal("authentication failed.\r\nYour authtoken: "+token, code)}
	}
	agent.id, agent.userAgent = request.ClientID, request.Extra.UserAgent
	if agent.id == "" {
		agent.id = rand.Text()
	}
	// An agent may reconnect before the service notices that its last connection has ended.
	for old := range s.sessions {
		if old.id == agent.id {
			s.remove(old)
		}
	}
	s.sessions[agent] = true
	reply := authReply{Version: "3", ClientID: agent.id, Extra: authReplyExtra{
		Version: "ngroktest", Region: "test", Cookie: "cookie", AccountName: s.options.Account, PlanName: s.options.Plan,
		AgentSessionID: "ts_" + agent.id,
	}}
	if !s.options.Deprecated.IsZero() {
		reply.Extra.DeprecationWarning = &deprecation{NextMin: "99.0.0", NextDate: s.options.Deprecated}
	}
	return reply
}

func (s *Service) bind(agent *session, request bindRequest) bindReply {
	var options bindOptions
	raw, err := json.Marshal(request.Opts)
	if err == nil {
		err = json.Unmarshal(raw, &options)
	}
	if err != nil {
		return bindReply{Error: refusal("malformed endpoint options", "ERR_NGROK_109")}
	}
	host := options.host()
	s.mu.Lock()
	defer s.mu.Unlock()
	if code := s.refuses(agent, host, request.Extra.Token); code != "" {
		return bindReply{Error: refusal(fmt.Sprintf("The endpoint 'https://%s' was refused.", host), code)}
	}
	b := &binding{key: strings.ToLower(rand.Text()), session: agent, token: request.Extra.Token, proto: request.Proto, Endpoint: Endpoint{
		ID: request.ID, Host: host, URL: request.Proto + "://" + host, ForwardsTo: request.ForwardsTo,
		Metadata: request.Extra.Metadata, TrafficPolicy: options.TrafficPolicy,
		Session: agent.id, UserAgent: agent.userAgent,
	}}
	if b.ID == "" {
		b.ID = rand.Text()
	}
	if b.token == "" {
		b.token = rand.Text()
	}
	if options.BasicAuth != nil {
		for _, c := range options.BasicAuth.Credentials {
			b.BasicAuth = append(b.BasicAuth, c.Username+":"+c.Password)
		}
	}
	if options.IPRestriction != nil {
		b.AllowCIDRs = options.IPRestriction.AllowCIDRs
	}
	s.bindings[host] = b
	// The agent sends exactly these options when it reconnects. Without the host in
	// them, the address of a random endpoint would change.
	if request.Opts == nil {
		request.Opts = map[string]any{}
	}
	request.Opts["Hostname"] = host
	return bindReply{
		ID: b.ID, URL: b.URL, Proto: b.proto, Opts: request.Opts,
		Extra: bindReplyExtra{Token: b.token, TunnelID: "tn_" + b.ID},
	}
}

// refuses returns the error code for refusing host, or "" if it is not refused.
func (s *Service) refuses(agent *session, host, token string) string {
	if code := s.bindCode[host]; code != "" {
		return code
	}
	if code := s.bindCode[""]; code != "" {
		return code
	}
	old, held := s.bindings[host], 0
	for _, b := range s.bindings {
		if b.session == agent && b != old {
			held++
		}
	}
	switch {
	case !s.sessions[agent]:
		return "ERR_NGROK_109"
	case strings.ContainsAny(host, ":/_ "):
		return "ERR_NGROK_326"
	case len(s.options.Domains) > 0 && !slices.Contains(s.options.Domains, host):
		return "ERR_NGROK_320"
	case s.occupied[host], old != nil && old.token != token:
		return "ERR_NGROK_334"
	case s.options.Endpoints > 0 && held >= s.options.Endpoints:
		return "ERR_NGROK_324"
	}
	return ""
}

// host returns the public host that the options request, or a random one.
func (o bindOptions) host() string {
	if parsed, err := url.Parse(o.URL); err == nil && parsed.Host != "" {
		return parsed.Host
	}
	switch {
	case o.Hostname != "":
		return o.Hostname
	case o.Domain != "":
		return o.Domain
	case o.Subdomain != "":
		return o.Subdomain + ".ngrok.test"
	}
	return strings.ToLower(rand.Text()[:12]) + ".ngrok.test"
}

func (s *Service) unbind(agent *session, request unbindRequest) errorReply {
	s.mu.Lock()
	defer s.mu.Unlock()
	for host, b := range s.bindings {
		if b.session == agent && b.ID == request.ID {
			delete(s.bindings, host)
			return errorReply{}
		}
	}
	return errorReply{Error: "no such endpoint"}
}

func refusal(text, code string) string { return text + "\r\n\r\n" + code + "\r\n" }

// stopEndpoint notifies the agent of an endpoint's end, on a new stream.
func (a *session) stopEndpoint(message stopEndpoint) {
	opened, err := a.mux.OpenTypedStream(streamStopEndpoint)
	if err != nil {
		return
	}
	conn := &stream{Conn: opened}
	_ = json.NewEncoder(conn).Encode(message)
	_ = conn.Close()
}

// open opens a stream to the agent for a public client.
func (b *binding) open(client string) (net.Conn, error) {
	opened, err := b.session.mux.OpenTypedStream(streamProxy)
	if err != nil {
		return nil, fmt.Errorf("open a stream to the agent: %w", err)
	}
	conn := &stream{Conn: opened}
	// Do not write a newline after the JSON: the next byte belongs to the client.
	header, err := json.Marshal(proxyHeader{ID: b.ID, ClientAddr: client, Proto: b.proto, EdgeType: edgeHTTPS})
	if err != nil {
		return nil, fmt.Errorf("encode a proxy header: %w", err)
	}
	// Little endian, unlike everything else in the protocol.
	frame := append(binary.LittleEndian.AppendUint64(nil, uint64(len(header))), header...)
	if _, err := conn.Write(frame); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("send a proxy header: %w", err)
	}
	return conn, nil
}
