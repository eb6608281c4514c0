package proxy_test

import (
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"testing"

	"silo/proxy"
)

// noise returns n bytes that differ for each n.
func noise(n int64) io.Reader {
	return io.LimitReader(rand.NewChaCha8([32]byte{byte(n), byte(n >> 8), byte(n >> 16)}), n)
}

// sum reads to the end and returns the length, a hash and the error.
func sum(r io.Reader) string {
	h := sha256.New()
	n, err := io.Copy(h, r)
	return fmt.Sprintf("%d %x %v", n, h.Sum(nil), err)
}

// Bodies of many sizes pass unchanged in both directions, 64 at once, with and without
// a length, and compressed.
func TestBodiesPassUnchanged(t *testing.T) {
	t.Parallel()
	target := siloSpeaking(t, protocols(true, true), func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			fmt.Fprint(w, sum(r.Body))
			return
		}
		n, _ := strconv.ParseInt(r.URL.Path[1:], 10, 64)
		switch r.URL.RawQuery {
		case "length":
			w.Header().Set("Content-Length", strconv.FormatInt(n, 10))
		case "gzip":
			w.Header().Set("Content-Encoding", "gzip")
			zipped := gzip.NewWriter(w)
			defer func() { _ = zipped.Close() }()
			_, _ = io.Copy(zipped, noise(n))
			return
		}
		_, _ = io.Copy(w, noise(n))
	})
	edge := "http://" + serve(t, proxy.Options{Target: target})
	clients := map[string]*http.Client{"1": clientSpeaking(t, protocols(true, false)), "2": clientSpeaking(t, protocols(false, true))}
	sizes := []int64{0, 1, 511, 4095, 4096, 4097, 16384, 65537, 1<<20 + 1, 3 << 20}
	type job struct {
		protocol, how string
		size          int64
	}
	jobs := make(chan job)
	var working sync.WaitGroup
	for range 64 {
		working.Go(func() {
			for j := range jobs {
				want := sum(noise(j.size))
				if got := transfer(t, clients[j.protocol], edge, j.how, j.size); got != want {
					t.Errorf("%+v: got %s, want %s", j, got, want)
				}
			}
		})
	}
	for protocol := range clients {
		for _, how := range []string{"length", "chunks", "gzip", "put", "put chunks"} {
			for _, size := range sizes {
				jobs <- job{protocol, how, size}
			}
		}
	}
	close(jobs)
	working.Wait()
}

// transfer fetches or sends a body, and returns its sum at the receiver.
func transfer(t *testing.T, by *http.Client, edge, how string, size int64) string {
	request := get(t, fmt.Sprintf("%s/%d?%s", edge, size, how))
	up := how == "put" || how == "put chunks"
	if up {
		request.URL.RawQuery, request.Method = "", http.MethodPut
		request.Body, request.ContentLength = io.NopCloser(noise(size)), size
		if how == "put chunks" {
			request.ContentLength = -1
		}
	}
	response, err := by.Do(request)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = response.Body.Close() }()
	if up {
		text, err := io.ReadAll(response.Body)
		if err != nil {
			return err.Error()
		}
		return string(text)
	}
	if response.Header.Get("Content-Length") != strconv.FormatInt(size, 10) && how == "length" {
		return "Content-Length " + response.Header.Get("Content-Length")
	}
	return sum(response.Body)
}
