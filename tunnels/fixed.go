package tunnels

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"

	"silo/traffic"
)

// fixed is a provider of addresses that need no keeping: those somebody else
// keeps (External), and the silos' own ports (None).
type fixed struct {
	config Config
	closed atomic.Bool
}

// address is a tunnel of fixed.
type address struct {
	*lamp
	url string
}

func (f *fixed) Open(ctx context.Context, spec Spec) (Tunnel, error) {
	if spec.Listener != nil {
		_ = spec.Listener.Close()
	}
	if f.closed.Load() || ctx.Err() != nil {
		return nil, ended(ctx)
	}
	a := &address{lamp: newLamp(spec.Name, f.config.Changed)}
	switch {
	case f.config.Provider == None:
		a.url = "http://" + spec.Upstream()
		a.show(Unneeded, nil)
		return a, nil
	case spec.URL != "":
		a.url = strings.TrimRight(spec.URL, "/")
	case spec.Domain != "":
		a.url = "https://" + spec.Domain
	default:
		return nil, errors.New("provider external: the silo has neither a url nor a domain")
	}
	a.show(Online, nil)
	return a, nil
}

func (f *fixed) Close(context.Context) error {
	f.closed.Store(true)
	return nil
}

func (a *address) Name() string   { return a.name }
func (a *address) URL() string    { return a.url }
func (a *address) Status() Status { return *a.now.Load() }

func (a *address) Replay(context.Context, traffic.Exchange, traffic.Caller) (traffic.Exchange, error) {
	return traffic.Exchange{}, errPassedBy
}

func (a *address) Close(context.Context) error {
	a.putOut()
	return nil
}
