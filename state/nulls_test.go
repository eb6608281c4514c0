package state

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func TestUnknownValuesAreNull(t *testing.T) {
	t.Parallel()
	tricky := `text ":"" of "port":0, & <"":"">`
	s := Snapshot{
		SchemaVersion: 1, Name: tricky, State: InstanceStopped, Mode: "silos",
		Silos: []Silo{
			{Name: "control", Mode: Control, State: Stopped, Reason: &tricky, Tunnel: Tunnel{State: TunnelNone}},
			{Name: "us", Mode: Region, State: Ready, Port: 8002, URL: "http://127.0.0.1:1", Tunnel: Tunnel{State: TunnelLost, Error: &TunnelError{Text: "gone"}}},
		},
	}
	data, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"file":null,`, `"provider":null,`, `"dialect":null,`, `"config":{"path":null,`, `"run_id":null,`, `"process_time":null`,
		`"port":null,"bind":null,"url":null,`, `"health_port":null,`, `"restarts":0,`, `"port":8002,"bind":null,"url":"http://127.0.0.1:1",`,
		`"error":{"code":null,"text":"gone","hint":null}`,
	} {
		if !strings.Contains(string(data), want) {
			t.Errorf("no %s in %s", want, data)
		}
	}
	var back Snapshot
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(back, s) {
		t.Errorf("decoded %+v, want %+v", back, s)
	}
}
