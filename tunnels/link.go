package tunnels

import (
	"context"
	"crypto/tls"
	"errors"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.ngrok.com/ngrok"
)

// errReplaced is why a link ends that another takes the place of.
var errReplaced = errors.New("the link to the ngrok service is made anew")

const probeTimeout = 2 * time.Second

// link is one session of the SDK with the ngrok service. The SDK reconnects it
// for as long as it is not closed.
type link struct {
	provider *ngrokProvider
	dialer   *dialer
	cancel   context.CancelCauseFunc // ends the session
	tls      atomic.Pointer[tls.Config]

	settled chan struct{} // closed when the SDK may dial
	ended   chan struct{} // closed by close
	gone    chan struct{} // closed when another may take its place
	tried   chan struct{} // closed when the first attempt to connect is over
	failure error         // its outcome; read only after tried
	session ngrok.Session // the same

	mu      sync.Mutex // guards all below, and orders what lamps show
	up      chan struct{}
	isUp    bool // up is closed
	epoch   int  // counts connections
	over    bool
	trouble *Error // why it is down
	legs    map[*endpoint]ngrok.Tunnel
	stopped bool // an endpoint was stopped by the service
}

// leg is an endpoint that is bound on a link.
type leg struct {
	ngrok.Tunnel
	link *link
}

func newLink(p *ngrokProvider) *link {
	l := &link{
		provider: p,
		ended:    make(chan struct{}),
		gone:     make(chan struct{}),
		tried:    make(chan struct{}),
		settled:  make(chan struct{}),
		up:       make(chan struct{}),
		legs:     map[*endpoint]ngrok.Tunnel{},
	}
	l.dialer = newDialer(l.settled, l.unreachable)
	return l
}

// run connects for the first time. Unlike all later attempts, which the SDK
// repeats for ever, the first failure is the last: nobody waits at a bad
// authtoken. life bounds the whole session, as the SDK has it.
func (l *link) run(life context.Context) {
	defer close(l.tried)
	silence := time.AfterFunc(l.provider.config.Ngrok.AnswerTimeout, func() { l.cancel(l.words("").silent()) })
	session, err := ngrok.Connect(&settling{Context: life, waited: l.settled}, l.options(life)...) //nolint:contextcheck // settling is life
	inTime := silence.Stop()
	if err == nil && inTime {
		l.session = session
		return
	}
	if cause := context.Cause(life); cause != nil {
		err = cause // what the SDK returns repeats every attempt
	}
	if err == nil {
		err = l.words("").silent()
	}
	l.provider.drop(l)
	l.close(err)
	l.failure = err
	if !errors.Is(err, errClosed) {
		l.failure = l.diagnose(life, l.words("").classify(err))
	}
}

func (l *link) options(life context.Context) []ngrok.ConnectOption {
	c := l.provider.config
	options := []ngrok.ConnectOption{
		ngrok.WithAuthtoken(c.Ngrok.Authtoken),
		ngrok.WithClientInfo("silo", c.Version),
		ngrok.WithMetadata(c.Ngrok.Metadata),
		ngrok.WithDialer(l.dialer),
		ngrok.WithTLSConfig(func(config *tls.Config) { l.tls.Store(config.Clone()) }),
		ngrok.WithConnectHandler(func(_ context.Context, session ngrok.Session) { l.connected(session) }),
		ngrok.WithDisconnectHandler(func(_ context.Context, _ ngrok.Session, err error) {
			if err != nil && life.Err() == nil {
				l.disconnected(err)
			}
		}),
	}
	if c.Ngrok.ServerAddr != "" {
		options = append(options, ngrok.WithServer(c.Ngrok.ServerAddr))
	}
	if l.provider.roots != nil {
		options = append(options, ngrok.WithCA(l.provider.roots))
	}
	if beat := c.Ngrok.Heartbeat; beat != 0 {
		options = append(options, ngrok.WithHeartbeatInterval(beat), ngrok.WithHeartbeatTolerance(beat*3/2))
	}
	return options
}

func (l *link) words(domain string) words { return l.provider.words(domain) }

// diagnose looks for the cause of a broken first connection by a TLS handshake
// of its own: what the SDK reports of a failed one depends on which of its
// goroutines meets the end first.
func (l *link) diagnose(life context.Context, failure *Error) *Error {
	config := l.tls.Load()
	if failure.Code != codeLost || config == nil {
		return failure
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(life), probeTimeout)
	defer cancel()
	probe := tls.Dialer{NetDialer: &net.Dialer{}, Config: config}
	conn, err := probe.DialContext(ctx, "tcp", l.words("").server)
	if err != nil {
		return l.words("").classify(err)
	}
	_ = conn.Close()
	return failure
}

// connected is called by the SDK after each connection, when all endpoints that
// it knew are bound again.
func (l *link) connected(session ngrok.Session) {
	for _, warning := range session.Warnings() {
		l.provider.warn("ngrok: " + l.words("").clean(warningText(warning)))
	}
	l.dialer.established.Store(true)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over || l.isUp {
		return
	}
	l.provider.config.Log("ngrok: connected to " + l.words("").server + l.words("").clean(account(session)))
	l.epoch++
	l.isUp, l.trouble = true, nil
	close(l.up)
	for e := range l.legs {
		e.show(Online, nil)
	}
}

// warningText is a warning of the session. The SDK's own words tell who runs an
// ngrok agent to update that.
func warningText(warning error) string {
	if old, is := errors.AsType[*ngrok.AgentVersionDeprecated](warning); is && !old.NextDate.IsZero() {
		return "the service will refuse this version's client from " + old.NextDate.Format(time.DateOnly) + " on: upgrade silo"
	}
	return warning.Error()
}

// account is what the service says of whose session it is. The SDK's sessions
// have these methods without a promise to keep them (v1.12.1, session.go).
func account(session ngrok.Session) string {
	said := ""
	if s, is := session.(interface{ AccountName() string }); is && s.AccountName() != "" {
		said += ", account " + s.AccountName()
	}
	if s, is := session.(interface{ PlanName() string }); is && s.PlanName() != "" {
		said += ", plan " + s.PlanName()
	}
	if s, is := session.(interface{ Region() string }); is && s.Region() != "" {
		said += ", region " + s.Region()
	}
	return said
}

// disconnected is called by the SDK when the connection breaks, and for each
// attempt at another that fails.
func (l *link) disconnected(err error) {
	if !l.dialer.established.Load() {
		l.cancel(l.words("").classify(err))
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return
	}
	why := l.words("").classify(err)
	l.provider.config.Log("ngrok: disconnected: " + why.Error())
	l.down(why)
	var said ngrok.Error
	switch {
	case l.stopped:
		// The SDK binds a stopped endpoint again and leaves its clients hanging:
		// it keeps it among its own but serves it no more.
		l.replace()
	case codePattern.MatchString(err.Error()) && !errors.As(err, &said):
		l.unbound(err.Error())
	default:
		l.showAll(why)
	}
}

// unreachable is called for each failed dial of a link that was up.
func (l *link) unreachable(err error) {
	why := l.words("").classify(err)
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.over {
		l.down(why)
		l.showAll(why)
	}
}

// down needs mu.
func (l *link) down(why *Error) {
	l.trouble = why
	if l.isUp {
		l.isUp = false
		l.up = make(chan struct{})
	}
}

// showAll needs mu.
func (l *link) showAll(why *Error) {
	for e := range l.legs {
		e.fail(why)
	}
}

// unbound takes the endpoint that could not be bound again off the session, or
// the SDK would give up on all others for its sake at every attempt. Where the
// service does not name it, all are taken off, and each binds itself again.
// Needs mu.
func (l *link) unbound(said string) {
	named := slices.ContainsFunc(slices.Collect(maps.Keys(l.legs)), func(e *endpoint) bool { return mentions(said, e.host) })
	for e, tunnel := range l.legs {
		switch {
		case named && !mentions(said, e.host):
			e.fail(l.words("").without(said))
			continue
		case named:
			e.fail(l.words(e.host).classify(errors.New(said)))
		default:
			e.fail(l.words("").without(said))
		}
		delete(l.legs, e)
		l.provider.spawn(func() { l.release(tunnel) }) // its keeper sees it end and binds it again
	}
	// The SDK waits half a second before another attempt, and longer after each. A
	// new link is made at once; but it cannot claim names that the service made up.
	if named && !slices.ContainsFunc(slices.Collect(maps.Keys(l.legs)), func(e *endpoint) bool { return e.spec.Domain == "" }) {
		l.retire()
	}
}

// release takes tunnel off the session, and off the service where it is bound.
func (l *link) release(tunnel ngrok.Tunnel) {
	l.mu.Lock()
	isUp := l.isUp
	l.mu.Unlock()
	if !isUp {
		// The SDK asks the service all the same. On a connection that it is
		// about to close that is a data race (muxado v2.0.2, stream.Close).
		l.dialer.quiet()
	}
	_ = tunnel.Close() // where the service cannot be asked, it has forgotten already
}

// replace ends the link, and with it every leg, whose keepers will make another
// once this one has gone: the SDK may have bound endpoints on it again by then.
// Needs mu.
func (l *link) replace() {
	l.showAll(l.trouble)
	l.retire()
}

// retire is replace without a word to the endpoints. Needs mu.
func (l *link) retire() {
	l.finish()
	if !l.provider.spawn(func() {
		l.close(errReplaced)
		l.provider.drop(l)
		l.shed()
	}) {
		l.provider.drop(l) // Close is at work and ends it; nobody is to wait for another
	}
}

// finish lets nothing be shown or bound any more. Needs mu.
func (l *link) finish() {
	if !l.over {
		l.over = true
		close(l.ended)
	}
}

// isOver tells whether finish has been called.
func (l *link) isOver() bool {
	select {
	case <-l.ended:
		return true
	default:
		return false
	}
}

// close ends the session. It takes 300 ms at most. Idempotent.
func (l *link) close(why error) {
	l.mu.Lock()
	l.finish()
	l.mu.Unlock()
	l.cancel(why)
	l.dialer.close()
}

// shed closes all legs of a closed link. Left to itself the SDK may come to that
// 30 s later only.
func (l *link) shed() {
	l.mu.Lock()
	legs := l.legs
	l.legs = map[*endpoint]ngrok.Tunnel{}
	l.mu.Unlock()
	var closing sync.WaitGroup
	for _, tunnel := range legs {
		closing.Go(func() { _ = tunnel.Close() }) // it can only say that the session is closed
	}
	closing.Wait()
}
