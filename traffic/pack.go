package traffic

import (
	"encoding/binary"
	"math"
	"net/http"
	"time"
)

// pack appends all of an exchange but its bodies to b, as one run of bytes that
// unpack reads back. As maps and strings the exchanges that a full Log keeps were
// half a million objects, and to walk them cost the garbage collector more than all
// else that recording does.
func pack(b []byte, e *Exchange) []byte {
	b = binary.AppendUvarint(b, e.ID)
	for _, s := range []string{string(e.State), e.Silo, e.Caller.Address, e.Method, e.Host, e.Path, e.Proto} {
		b = packText(b, s)
	}
	for _, s := range []*string{e.Caller.Silo, e.Caller.Program, e.Error, e.Fault} {
		if b = packThere(b, s != nil); s != nil {
			b = packText(b, *s)
		}
	}
	if b = packThere(b, e.Caller.PID != nil); e.Caller.PID != nil {
		b = binary.AppendVarint(b, int64(*e.Caller.PID))
	}
	if b = packThere(b, e.ReplayOf != nil); e.ReplayOf != nil {
		b = binary.AppendUvarint(b, *e.ReplayOf)
	}
	for _, seconds := range []*float64{e.FirstByte, e.Total} {
		if b = packThere(b, seconds != nil); seconds != nil {
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(*seconds))
		}
	}
	b = packThere(packThere(b, e.Crossing), e.Blocked)
	b = binary.AppendVarint(b, int64(e.Status))
	b = binary.AppendVarint(b, e.Started.Unix())
	b = binary.AppendVarint(b, int64(e.Started.Nanosecond()))
	for _, m := range []*Message{&e.Request, &e.Response} {
		b = packHeader(packHeader(b, m.Header), m.Trailer)
		b = packThere(binary.AppendVarint(b, m.Bytes), m.Truncated)
	}
	return b
}

func packText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func packThere(b []byte, there bool) []byte {
	if there {
		return append(b, 1)
	}
	return append(b, 0)
}

// packHeader tells no header from one without fields.
func packHeader(b []byte, header http.Header) []byte {
	if b = packThere(b, header != nil); header == nil {
		return b
	}
	b = binary.AppendUvarint(b, uint64(len(header)))
	for name, values := range header {
		b = binary.AppendUvarint(packText(b, name), uint64(len(values)))
		for _, value := range values {
			b = packText(b, value)
		}
	}
	return b
}

// unpack reads what pack has written. The bodies are left to the caller.
func unpack(packed []byte) Exchange {
	r := &parcel{packed, string(packed)}
	e := Exchange{ID: r.number()}
	var state string
	for _, s := range []*string{&state, &e.Silo, &e.Caller.Address, &e.Method, &e.Host, &e.Path, &e.Proto} {
		*s = r.text()
	}
	e.State = State(state)
	for _, s := range []**string{&e.Caller.Silo, &e.Caller.Program, &e.Error, &e.Fault} {
		if r.there() {
			*s = new(r.text())
		}
	}
	if r.there() {
		e.Caller.PID = new(int(r.signed()))
	}
	if r.there() {
		e.ReplayOf = new(r.number())
	}
	for _, seconds := range []**float64{&e.FirstByte, &e.Total} {
		if r.there() {
			*seconds = new(math.Float64frombits(binary.LittleEndian.Uint64(r.rest)))
			r.skip(8)
		}
	}
	e.Crossing, e.Blocked = r.there(), r.there()
	e.Status = int(r.signed())
	e.Started = time.Unix(r.signed(), r.signed())
	for _, m := range []*Message{&e.Request, &e.Response} {
		m.Header, m.Trailer = r.header(), r.header()
		m.Bytes, m.Truncated = r.signed(), r.there()
	}
	return e
}

// parcel is what is left to unpack: as bytes, and as the string that texts are cut
// from.
type parcel struct {
	rest  []byte
	texts string
}

func (p *parcel) skip(n int) { p.rest, p.texts = p.rest[n:], p.texts[n:] }

func (p *parcel) number() uint64 {
	n, taken := binary.Uvarint(p.rest)
	p.skip(taken)
	return n
}

func (p *parcel) signed() int64 {
	n, taken := binary.Varint(p.rest)
	p.skip(taken)
	return n
}

func (p *parcel) there() bool {
	there := p.rest[0] == 1
	p.skip(1)
	return there
}

func (p *parcel) text() string {
	n := int(p.number()) //nolint:gosec // G115: the length of a string in memory
	text := p.texts[:n]
	p.skip(n)
	return text
}

func (p *parcel) header() http.Header {
	if !p.there() {
		return nil
	}
	fields := p.number()
	header := make(http.Header, fields)
	for range fields {
		name := p.text()
		values := make([]string, p.number())
		for i := range values {
			values[i] = p.text()
		}
		header[name] = values
	}
	return header
}
