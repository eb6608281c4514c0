package tunnels

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"

	"silo/traffic"
)

// fixed is a provider of addresses that silo does not manage: external addresses
// (External) and the silos' own ports (None).
type fixed struct {
	config Config
	closed atomic.Bool
}

type fixedTunnel struct{ *tracker }

func (f *fixed) Open(ctx context.Context, spec Spec) (Tunnel, error) {
	if spec.Listener != nil {
		_ = spec.Listener.Close()
	}
	if f.closed.Load() || ctx.Err() != nil {
		return nil, closedError(ctx)
	}
	var url string
	state := Online
	switch {
	case f.config.Provider == None:
		url, state = "http://"+spec.Upstream(), Unneeded
	case spec.URL != "":
		url = strings.TrimRight(spec.URL, "/")
	case spec.Domain != "":
		url = "https://" + spec.Domain
	default:
		return nil, errors.New("provider external: the silo has neither a url nor a domain")
	}
	t := fixedTunnel{newTracker(spec.Name, url, f.config)}
	t.set(state, nil)
	return t, nil
}

func (f *fixed) Close(context.Context) error {
	f.closed.Store(true)
	return nil
}

func (t fixedTunnel) Replay(context.Context, traffic.Exchange, traffic.Caller) (traffic.Exchange, error) {
	return traffic.Exchange{}, errNotForwarded
}

func (t fixedTunnel) Close(context.Context) error {
	t.mute()
	return nil
}
