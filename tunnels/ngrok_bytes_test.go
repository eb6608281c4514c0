package tunnels_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"sync"
	"testing"
	"time"

	"silo/tunnels"
	"silo/tunnels/ngroktest"
)

// most is how much additional memory this whole process (service, client, silo and
// provider) may use while bodies of any size are forwarded.
const most = 64 << 20

// noise returns size bytes that depend only on seed and cannot be compressed.
func noise(seed, size int64) io.Reader {
	var key [32]byte
	copy(key[:], strconv.FormatInt(seed, 10))
	return io.LimitReader(rand.NewChaCha8(key), size)
}

func sum(t *testing.T, body io.Reader) string {
	t.Helper()
	digest := sha256.New()
	if _, err := io.Copy(digest, body); err != nil {
		t.Errorf("read: %v", err)
	}
	return hex.EncodeToString(digest.Sum(nil))
}

// warehouse is a silo that reads and describes request bodies, and sends noise with or
// without a Content-Length.
func warehouse(t *testing.T) tunnels.Spec {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			digest := sha256.New()
			n, err := io.Copy(digest, r.Body)
			fmt.Fprintf(w, "%s %d %d %s %v", hex.EncodeToString(digest.Sum(nil)), n, r.ContentLength, r.Header.Get("Content-Encoding"), err)
			return
		}
		size, _ := strconv.ParseInt(r.URL.Query().Get("size"), 10, 64)
		if r.URL.Query().Has("length") {
			w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
		} else {
			_ = http.NewResponseController(w).Flush()
		}
		_, _ = io.Copy(w, noise(size, size))
	}))
	t.Cleanup(server.Close)
	return tunnels.Spec{Name: "eu", Domain: "eu.acme.test", Upstream: server.Listener.Addr().String}
}

// passing sends bodies through a tunnel.
type passing struct {
	service   *ngroktest.Service
	transport *http.Transport
}

func passage(t *testing.T) *passing {
	t.Helper()
	p := &passing{service(t, ngroktest.Options{}), &http.Transport{DisableCompression: true}}
	t.Cleanup(p.transport.CloseIdleConnections)
	open(t, provider(t, p.service, newHistory()), warehouse(t))
	return p
}

func (p *passing) do(t *testing.T, method, query string, body io.Reader, length int64, encoding string) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+p.service.PublicAddr()+"/?"+query, body)
	if err != nil {
		t.Fatal(err)
	}
	request.Host, request.ContentLength = "eu.acme.test", length
	if encoding != "" {
		request.Header.Set("Content-Encoding", encoding)
	}
	response, err := p.transport.RoundTrip(request)
	if err != nil {
		t.Error(err)
		return &http.Response{Body: http.NoBody}
	}
	return response
}

// up sends size bytes with a Content-Length of length, or in chunks if it is -1.
func (p *passing) up(t *testing.T, size, length int64) {
	t.Helper()
	digest := sha256.New()
	response := p.do(t, http.MethodPut, "", io.TeeReader(noise(size, size), digest), length, "")
	defer func() { _ = response.Body.Close() }()
	p.received(t, response, digest, size, length, "")
}

func (p *passing) received(t *testing.T, response *http.Response, digest hash.Hash, size, length int64, encoding string) {
	t.Helper()
	got, err := io.ReadAll(response.Body)
	if want := fmt.Sprintf("%s %d %d %s <nil>", hex.EncodeToString(digest.Sum(nil)), size, length, encoding); err != nil || string(got) != want {
		t.Errorf("%d bytes up: got %q, %v, want %q", size, got, err, want)
	}
}

// down gets size bytes, in chunks if query is empty.
func (p *passing) down(t *testing.T, size int64, query string) {
	t.Helper()
	response := p.do(t, http.MethodGet, "size="+strconv.FormatInt(size, 10)+query, nil, 0, "")
	defer func() { _ = response.Body.Close() }()
	if chunked := len(response.TransferEncoding) > 0; chunked == (query != "") {
		t.Errorf("%d bytes down, query %q: encoded as %v", size, query, response.TransferEncoding)
	}
	if got, want := sum(t, response.Body), sum(t, noise(size, size)); got != want {
		t.Errorf("%d bytes down: wrong checksum", size)
	}
}

func TestNgrokPassesEveryByte(t *testing.T) {
	t.Parallel()
	p := passage(t)
	for _, size := range []int64{1, 2, 1000, 32<<10 - 1, 32 << 10, 32<<10 + 1, 256 << 10, 1 << 20, 5_000_011} {
		p.up(t, size, size)
		p.up(t, size, -1)
		p.down(t, size, "&length")
		p.down(t, size, "")
	}
}

func TestNgrokPassesEveryByteConcurrently(t *testing.T) {
	t.Parallel()
	p := passage(t)
	var all sync.WaitGroup
	for i := range int64(64) {
		all.Go(func() {
			p.up(t, 1<<20+i, -i%2*(1<<20+i+1)+1<<20+i) // every other one in chunks
			p.down(t, 1<<20+i, []string{"", "&length"}[i%2])
		})
	}
	all.Wait()
}

// Bodies stay compressed, whatever encodings each end accepts.
func TestNgrokKeepsCompressedBodies(t *testing.T) {
	t.Parallel()
	p := passage(t)
	var packed bytes.Buffer
	packer := gzip.NewWriter(&packed)
	_, _ = io.Copy(packer, noise(7, 1<<20))
	if err := packer.Close(); err != nil {
		t.Fatal(err)
	}
	digest, size := sha256.New(), int64(packed.Len())
	response := p.do(t, http.MethodPut, "", io.TeeReader(&packed, digest), size, "gzip")
	defer func() { _ = response.Body.Close() }()
	p.received(t, response, digest, size, size, "gzip")
}

// memory returns how much memory the runtime holds.
func memory() uint64 {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64() - samples[1].Value.Uint64()
}

// highest samples the memory until the returned function is called, which returns the
// maximum.
func highest() func() uint64 {
	stop, peak := make(chan struct{}), make(chan uint64)
	go func() {
		top := memory()
		for {
			select {
			case <-stop:
				peak <- top
				return
			case <-time.After(5 * time.Millisecond):
				top = max(top, memory())
			}
		}
	}()
	return func() uint64 { close(stop); return <-peak }
}

// Not in parallel, because it measures the whole process's memory.
//
//nolint:paralleltest // see above
func TestNgrokDoesNotBufferBodies(t *testing.T) {
	p := passage(t)
	p.up(t, 1<<20, -1)
	size := int64(fromEnv(t, "SILO_NGROK_BYTES", 80<<20))
	for _, c := range []struct {
		name string
		most int64
		pass func()
	}{
		{"up, in chunks", most, func() { p.up(t, size, -1) }},
		{"down, with length", most, func() { p.down(t, size, "&length") }},
		{"64 at once, both ways", 3 * most, func() { // each end of each stream has a window of 256 KiB, and both ends are in this process
			var all sync.WaitGroup
			for range 32 {
				all.Go(func() { p.up(t, size/64, -1) })
				all.Go(func() { p.down(t, size/64, "") })
			}
			all.Wait()
		}},
	} {
		debug.FreeOSMemory()
		idle, peak, start := memory(), highest(), time.Now()
		c.pass()
		took, more := time.Since(start), int64(peak())-int64(idle)
		t.Logf("%d MiB %s: %.1f MB more than idle, %.0f MB/s with both sums", size>>20, c.name, float64(more)/1e6, float64(size)/1e6/took.Seconds())
		if more > c.most {
			t.Errorf("%s: %d bytes more than idle", c.name, more)
		}
	}
}
