package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"

	"silo/traffic"
)

// ErrNotKept says that the log of what passed has no such exchange: there never was
// one, or it has made room for later ones.
var ErrNotKept = errors.New("not kept, or not any more")

// UnrepeatableError says that a request cannot be made again.
type UnrepeatableError struct {
	ID  uint64
	Why string
}

func (e *UnrepeatableError) Error() string {
	return fmt.Sprintf("request %d cannot be sent again: %s", e.ID, e.Why)
}

// Traffic holds what passes the tunnels of the instance: the same log as long as it
// runs.
func (s *Supervisor) Traffic() *traffic.Log { return s.now().gate.log }

// Replay makes a recorded request again, as it came, of the silo to or, where that
// is empty, of the one that it was for, and returns its exchange once that has
// ended, well or not. It is recorded like any other. Who asks for it is the user:
// it never crosses. The error is ErrNotKept, an *UnrepeatableError, an
// *UnknownSiloError, or why there is nothing to send it through.
func (s *Supervisor) Replay(ctx context.Context, id uint64, to string) (traffic.Exchange, error) {
	e, kept := s.Traffic().Get(id)
	if !kept {
		return traffic.Exchange{}, fmt.Errorf("request %d: %w", id, ErrNotKept)
	}
	if why := unrepeatable(e); why != "" {
		return traffic.Exchange{}, &UnrepeatableError{id, why}
	}
	if to == "" {
		to = e.Silo
	}
	if _, err := s.check([]string{to}); err != nil {
		return traffic.Exchange{}, err
	}
	pid, program := os.Getpid(), "silo"
	again, err := s.placed(to).Tunnel.Replay(ctx, e, traffic.Caller{PID: &pid, Program: &program})
	if err != nil {
		return again, fmt.Errorf("send request %d again: %w", id, err)
	}
	return again, nil
}

// unrepeatable is why a request cannot be made again; empty: it can.
func unrepeatable(e traffic.Exchange) string {
	switch {
	case e.State == traffic.Open:
		return "it has not ended yet"
	case e.Status == http.StatusSwitchingProtocols:
		return "it became another protocol's connection"
	case e.Request.Truncated:
		return "its body was kept in part only"
	}
	return ""
}
