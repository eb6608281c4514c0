package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"

	"silo/traffic"
)

// ErrNotKept is returned for an exchange that never existed or has been discarded.
var ErrNotKept = errors.New("not kept, or no longer kept")

// UnrepeatableError explains why a request cannot be sent again.
type UnrepeatableError struct {
	ID  uint64
	Why string
}

func (e *UnrepeatableError) Error() string {
	return fmt.Sprintf("request %d cannot be sent again: %s", e.ID, e.Why)
}

// Traffic returns the log of the exchanges that passed through the tunnels.
func (s *Supervisor) Traffic() *traffic.Log { return s.placement().traffic.log }

// Replay sends a recorded request again, to the silo that to names, or to the same silo
// if to is empty. It returns the new exchange once it has ended, whether or not it
// succeeded. The new exchange is recorded too; the user is its caller, so it never
// counts as a call between regions. The error is ErrNotKept, an *UnrepeatableError, a
// *plan.UnknownSiloError, or explains why the request could not be sent.
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
	p := s.placement()
	if err := p.CheckNames([]string{to}); err != nil {
		return traffic.Exchange{}, err
	}
	pid, program := os.Getpid(), "silo"
	again, err := p.open[to].tunnel.Replay(ctx, e, traffic.Caller{PID: &pid, Program: &program})
	if err != nil {
		return again, fmt.Errorf("send request %d again: %w", id, err)
	}
	return again, nil
}

// unrepeatable explains why a request cannot be sent again, or returns "" if it can.
func unrepeatable(e traffic.Exchange) string {
	switch {
	case e.State == traffic.Open:
		return "it has not ended yet"
	case e.Status == http.StatusSwitchingProtocols:
		return "it was upgraded to another protocol"
	case e.Request.Truncated:
		return "only part of its body was kept"
	}
	return ""
}
