package proxy

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"silo/traffic"
)

// fast is a ResponseWriter that takes a body in at once, as net/http's does where
// the kernel can copy.
type fast struct {
	*httptest.ResponseRecorder

	readFrom int64
}

func (f *fast) ReadFrom(r io.Reader) (int64, error) {
	n, err := io.Copy(f.Body, r)
	f.readFrom += n
	return n, err
}

// What is not kept any more takes the way that it takes without a witness.
func TestAWitnessLeavesTheRestToTheWriterBeneath(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, traffic.BodyLimit - 1, traffic.BodyLimit, traffic.BodyLimit + 1, 1 << 20} {
		body := bytes.Repeat([]byte("x"), size)
		p := New(Options{Silo: "eu", Target: func() string { return "" }, Recording: &Recording{Log: traffic.NewLog(traffic.DefaultLimit)}})
		beneath := &fast{ResponseRecorder: httptest.NewRecorder()}
		seen := p.witness(beneath, httptest.NewRequest(http.MethodGet, "/", nil))
		if n, err := seen.ReadFrom(struct{ io.Reader }{bytes.NewReader(body[:size/2])}); n != int64(size/2) || err != nil {
			t.Errorf("%d: %d, %v", size, n, err)
		}
		n, err := seen.ReadFrom(struct{ io.Reader }{bytes.NewReader(body[size/2:])})
		seen.returned = true
		seen.testify(t.Context())
		e, _ := seen.recording.Log.Get(1)
		rest := max(0, int64(size-traffic.BodyLimit))
		if n != int64(size-size/2) || err != nil || beneath.Body.Len() != size || beneath.readFrom != rest ||
			e.Response.Bytes != int64(size) || e.Response.Truncated != (rest > 0) || len(e.Response.Body) != min(size, traffic.BodyLimit) {
			t.Errorf("%d: read %d, %v; %d passed, %d of them at once; %d counted, %d kept", size, n, err, beneath.Body.Len(), beneath.readFrom, e.Response.Bytes, len(e.Response.Body))
		}
	}
}
