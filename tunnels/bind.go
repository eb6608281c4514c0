package tunnels

import (
	"context"
	"errors"
	"time"

	"go.yaml.in/yaml/v3"
	"golang.ngrok.com/ngrok"
)

const abandonBound = time.Second

// answer is what the service said to a request for an endpoint.
type answer struct {
	tunnel ngrok.Tunnel
	err    error
}

// bind binds e and shows it online. It waits for the link to be up, and for the
// service's answer, for AnswerTimeout in all.
func (l *link) bind(ctx context.Context, e *endpoint) (*leg, error) {
	silence := time.NewTimer(l.provider.config.Ngrok.AnswerTimeout)
	defer silence.Stop()
	options := l.provider.options(e.spec, e.host)
	for {
		epoch, err := l.await(ctx, silence.C)
		if err != nil {
			return nil, err
		}
		// Listen does not heed its context.
		answers := make(chan answer, 1)
		if !l.provider.spawn(func() {
			tunnel, err := l.session.Listen(ctx, options)
			answers <- answer{tunnel, err}
		}) {
			return nil, errClosed
		}
		select {
		case a := <-answers:
			switch {
			case a.err != nil:
				return nil, l.words(e.host).classify(a.err)
			case l.attach(e, a.tunnel, epoch):
				return &leg{a.tunnel, l}, nil
			}
			// The link broke meanwhile: whether the endpoint is bound on the
			// new connection is anybody's guess.
			_ = a.tunnel.Close()
		case <-ctx.Done():
			l.abandon(answers)
			return nil, context.Cause(ctx)
		case <-silence.C:
			l.provider.spawn(func() { l.abandon(answers) })
			return nil, l.words(e.host).silent()
		}
	}
}

// await waits for the link to be up and returns which connection it is.
func (l *link) await(ctx context.Context, silence <-chan time.Time) (epoch int, err error) {
	for {
		l.mu.Lock()
		up, isUp, epoch, over, trouble := l.up, l.isUp, l.epoch, l.over, l.trouble
		l.mu.Unlock()
		switch {
		case over:
			return 0, errReplaced
		case isUp:
			return epoch, nil
		}
		select {
		case <-up:
		case <-l.ended:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-silence:
			if trouble != nil {
				return 0, trouble
			}
			return 0, l.words("").silent()
		}
	}
}

// attach counts tunnel among the link's, if it is still the connection on which
// it was bound.
func (l *link) attach(e *endpoint, tunnel ngrok.Tunnel, epoch int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over || !l.isUp || l.epoch != epoch {
		return false
	}
	l.legs[e] = tunnel
	if e.host == "" {
		e.host = hostOf(tunnel.URL()) // the one that the service made up is the one to ask for again
	}
	e.show(Online, nil)
	return true
}

// abandon closes the endpoint of an answer that nobody wants any more. It waits
// a moment for that, so that who gave up leaves nothing bound behind, and not
// for a service that is silent.
func (l *link) abandon(answers <-chan answer) {
	gone := make(chan struct{})
	if !l.provider.spawn(func() {
		defer close(gone)
		if a := <-answers; a.tunnel != nil {
			_ = a.tunnel.Close()
		}
	}) {
		return
	}
	select {
	case <-gone:
	case <-time.After(abandonBound):
	}
}

// take takes e off the link, if it is on it.
func (l *link) take(e *endpoint) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.legs, e)
}

// stoppedOne notes that the service has stopped an endpoint of this link.
func (l *link) stoppedOne() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopped = true
}

// stoppedBy is the service's reason for having stopped an endpoint, or nil where
// its leg ended for another.
func (w words) stoppedBy(err error) *Error {
	var said ngrok.Error
	if !errors.As(err, &said) {
		return nil
	}
	if said.ErrorCode() != "" {
		return w.coded(said.ErrorCode(), said.Msg())
	}
	text := "the ngrok service has stopped this endpoint"
	if message := w.clean(said.Msg()); message != "" {
		text += ": " + message
	}
	return &Error{Code: codeStopped, Class: Fatal, Text: text, Hint: "silo down && silo up binds it again"}
}

// isPolicy tells what the SDK takes for a traffic policy; it panics at all else.
func isPolicy(text string) bool {
	var policy map[string]any
	return yaml.Unmarshal([]byte(text), &policy) == nil && len(policy) > 0
}
