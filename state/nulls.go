package state

import (
	"bytes"
	"encoding/json"
)

// nullable are encoded values that stand for unknown ones. They cannot occur within a
// string, whose quotes are escaped.
var nullable = []struct{ value, null []byte }{
	{[]byte(`":""`), []byte(`":null`)},
	{[]byte(`"port":0,`), []byte(`"port":null,`)},
	{[]byte(`"health_port":0,`), []byte(`"health_port":null,`)},
}

// MarshalJSON encodes the snapshot as MarshalWithNulls does.
func (s Snapshot) MarshalJSON() ([]byte, error) {
	type plain Snapshot // without MarshalJSON
	return MarshalWithNulls(plain(s))
}

// MarshalWithNulls encodes v for a MarshalJSON method. Empty strings and zero ports,
// which are unknown before a first run, become null.
func MarshalWithNulls(v any) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false) // the caller's encoder decides whether to escape
	if err := encoder.Encode(v); err != nil {
		return nil, err
	}
	data := out.Bytes()
	for _, n := range nullable {
		data = bytes.ReplaceAll(data, n.value, n.null)
	}
	return data, nil
}
