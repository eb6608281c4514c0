package orchestrator

import "fmt"

// Rotated secrets are taken by all silos together or by none: what one signs
// with a new secret, another that has the old one alone would refuse. One silo
// that is started again has those of the others.

// renews tells whether secrets wait for the silos of a placement.
func (p *Placement) renews() bool { return p.Choice.Dialect.Secrets && p.Dir.RotatedSecrets() }

// renew lets what is launched from now on have the rotated secrets.
func (s *Supervisor) renew() error {
	s.applying.Lock()
	defer s.applying.Unlock()
	next := *s.now()
	var err error
	if next.Secrets, err = next.Dir.RenewSecrets(); err != nil {
		return fmt.Errorf("take the rotated secrets: %w", err)
	}
	seen := make(chan struct{})
	s.send(applyEvent{place: &next, order: silosOf(next.Plan), seen: seen})
	select {
	case <-seen:
		return nil
	case <-s.ended:
		return ErrEnded
	}
}
