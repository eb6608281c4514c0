package ngroktest

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
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

// bind is one endpoint.
type bind struct {
	Endpoint
	session *session
	token   string
	proto   string
	key     string // unlike ID new at each bind: what pooled connections go by
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
	s.forget(agent, conn)
}

func (s *Service) forget(agent *session, conn *frozenConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, conn)
	delete(s.sessions, agent)
	for host, b := range s.binds {
		if b.session == agent {
			delete(s.binds, host)
		}
	}
}

// serve answers one request. The agent does not half-close, so one JSON value
// is read, never to the end.
func (a *session) serve(typed muxado.TypedStream) {
	conn := &stream{Conn: typed}
	defer func() { _ = conn.Close() }()
	in := json.NewDecoder(conn)
	var reply any
	switch typed.StreamType() {
	case streamHeartbeat:
		a.service.echo(conn)
		return
	case streamAuth:
		var request authRequest
		if in.Decode(&request) != nil {
			return
		}
		reply = a.service.auth(a, request)
	case streamBind:
		var request bindRequest
		if in.Decode(&request) != nil {
			return
		}
		reply = a.service.bind(a, request)
	case streamUnbind:
		var request unbindRequest
		if in.Decode(&request) != nil {
			return
		}
		reply = a.service.unbind(a, request)
	case streamSrvInfo:
		reply = srvInfoReply{Region: "test"}
	default:
		return
	}
	a.service.pause()
	_ = json.NewEncoder(conn).Encode(reply)
}

// echo returns an agent's heartbeats. The service sends none of its own.
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

func (s *Service) pause() {
	s.mu.Lock()
	delay := s.delay
	s.mu.Unlock()
	<-time.After(delay)
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
		// The real service repeats the authtoken in such a text.
		return authReply{Version: "3", Error: refusal("authentication failed.\r\nYour authtoken: "+token, code)}
	}
	agent.id, agent.userAgent = request.ClientID, request.Extra.UserAgent
	if agent.id == "" {
		agent.id = rand.Text()
	}
	// An agent that comes back may be here before its old connection is known
	// to be dead.
	for old := range s.sessions {
		if old.id == agent.id {
			delete(s.sessions, old)
			for host, b := range s.binds {
				if b.session == old {
					delete(s.binds, host)
				}
			}
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
	b := &bind{key: rand.Text(), session: agent, token: request.Extra.Token, proto: request.Proto, Endpoint: Endpoint{
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
	s.binds[host] = b
	// The agent asks for exactly these options when it connects again; without
	// the host in them a random endpoint would move.
	if request.Opts == nil {
		request.Opts = map[string]any{}
	}
	request.Opts["Hostname"] = host
	return bindReply{
		ID: b.ID, URL: b.URL, Proto: b.proto, Opts: request.Opts,
		Extra: bindReplyExtra{Token: b.token, TunnelID: "tn_" + b.ID},
	}
}

// refuses is the code with which host is refused, or "".
func (s *Service) refuses(agent *session, host, token string) string {
	if code := s.bindCode[host]; code != "" {
		return code
	}
	if code := s.bindCode[""]; code != "" {
		return code
	}
	old, held := s.binds[host], 0
	for _, b := range s.binds {
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

// host is the public host that options ask for, or one made up.
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
	for host, b := range s.binds {
		if b.session == agent && b.ID == request.ID {
			delete(s.binds, host)
			return errorReply{}
		}
	}
	return errorReply{Error: "no such endpoint"}
}

func refusal(text, code string) string { return text + "\r\n\r\n" + code + "\r\n" }

func (a *session) stopEndpoint(id, message, code string) {
	a.send(streamStopEndpoint, stopEndpoint{ID: id, Message: message, ErrorCode: code})
}

// send opens a stream to the agent that carries one message.
func (a *session) send(kind muxado.StreamType, message any) {
	opened, err := a.mux.OpenTypedStream(kind)
	if err != nil {
		return
	}
	conn := &stream{Conn: opened}
	_ = json.NewEncoder(conn).Encode(message)
	_ = conn.Close()
}

// open opens a stream to the agent on which a client is proxied.
func (b *bind) open(client string) (net.Conn, error) {
	opened, err := b.session.mux.OpenTypedStream(streamProxy)
	if err != nil {
		return nil, fmt.Errorf("open a stream to the agent: %w", err)
	}
	conn := &stream{Conn: opened}
	// No newline after the JSON: what follows its length belongs to the client.
	header, err := json.Marshal(proxyHeader{ID: b.ID, ClientAddr: client, Proto: b.proto, EdgeType: edgeHTTPS})
	if err != nil {
		return nil, fmt.Errorf("encode a proxy header: %w", err)
	}
	var frame bytes.Buffer
	// Little endian, unlike all else in the protocol.
	frame.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(header))))
	frame.Write(header)
	if _, err := conn.Write(frame.Bytes()); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("send a proxy header: %w", err)
	}
	return conn, nil
}
