package ui_test

import (
	"bytes"
	"testing"

	"silo/state"
)

func TestStateLog(t *testing.T) {
	t.Parallel()
	silo := func(name string, phase state.Phase, tunnel state.Tunnel, reason ...string) state.Silo {
		s := state.Silo{Name: name, State: phase, Tunnel: tunnel}
		if len(reason) > 0 {
			s.Reason = &reason[0]
		}
		return s
	}
	online := state.Tunnel{State: state.TunnelOnline}
	lost := state.Tunnel{State: state.TunnelLost, Error: &state.TunnelError{Code: "ERR_NGROK_105", Text: "no such token", Hint: "another token"}}
	again := lost
	again.Attempt = 2
	restarted := silo("us", state.Ready, state.Tunnel{State: state.TunnelReconnecting})
	restarted.PID = new(7)
	frames := [][]state.Silo{
		{silo("control", state.Starting, online), silo("us", state.Starting, online)},
		{silo("control", state.Ready, online), silo("us", state.Backoff, online, "exited with code 1")},
		{silo("control", state.Ready, lost), silo("us", state.Backoff, lost, "exited with code 1")},
		{silo("control", state.Ready, again), silo("us", state.Ready, again)},
		{silo("control", state.Ready, online), silo("us", state.Ready, state.Tunnel{State: state.TunnelReconnecting})},
		{silo("control", state.Ready, online), restarted}, // between two snapshots
	}
	for quiet, want := range map[bool]string{
		false: `silo: control is ready again
silo: warning: us: backoff: exited with code 1
silo: warning: control, us: tunnel lost: ERR_NGROK_105 no such token
hint: another token
silo: us is ready again
silo: control: tunnel online again
silo: warning: us: tunnel reconnecting
silo: us is ready again
`,
		true: `silo: warning: us: backoff: exited with code 1
silo: warning: control, us: tunnel lost: ERR_NGROK_105 no such token
hint: another token
silo: warning: us: tunnel reconnecting
`,
	} {
		var out bytes.Buffer
		log := surrounding{}.printer(&out, nil).StateLog(quiet)
		for _, silos := range frames {
			log.Update(&state.Snapshot{Silos: silos})
		}
		if out.String() != want {
			t.Errorf("quiet %v: got\n%swant\n%s", quiet, out.String(), want)
		}
	}
}
