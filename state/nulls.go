package state

import (
	"bytes"
	"encoding/json"
)

// absent are values that stand for nothing, as they are encoded, and null in their
// place. Quotes within a text are escaped, so that nothing else looks like these.
var absent = []struct{ nothing, null []byte }{
	{[]byte(`":""`), []byte(`":null`)},
	{[]byte(`"port":0,`), []byte(`"port":null,`)},
	{[]byte(`"health_port":0,`), []byte(`"health_port":null,`)},
}

// MarshalJSON is the snapshot in the shape of its tags, as MarshalWithNulls has it.
func (s Snapshot) MarshalJSON() ([]byte, error) {
	type shape Snapshot // has no MarshalJSON
	return MarshalWithNulls(shape(s))
}

// MarshalWithNulls is v in JSON, for a MarshalJSON. What is not known is null, also where that
// is an empty text or port 0 in v, as before a first run.
func MarshalWithNulls(v any) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false) // which is for whoever encodes what this is part of
	if err := encoder.Encode(v); err != nil {
		return nil, err
	}
	data := out.Bytes()
	for _, a := range absent {
		data = bytes.ReplaceAll(data, a.nothing, a.null)
	}
	return data, nil
}
