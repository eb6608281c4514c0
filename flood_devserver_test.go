package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// loud is a devserver that writes lines continuously between GET /loud and GET /quiet. GET
// /written returns the number of lines written.
func loud() int {
	var written atomic.Int64
	var flooding atomic.Bool
	lines := make(chan string)
	go func() {
		for line := range lines {
			fmt.Println(line)
			written.Add(1)
		}
	}()
	flooding.Store(os.Getenv("LOUD") != "")
	go func() {
		for n := 0; ; n++ {
			if !flooding.Load() {
				time.Sleep(time.Millisecond)
				continue
			}
			lines <- fmt.Sprintf("line %d %s", n, strings.Repeat("z", 200))
			if n%20 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
	}()
	mux := http.NewServeMux()
	mux.HandleFunc("/loud", func(http.ResponseWriter, *http.Request) { flooding.Store(true) })
	mux.HandleFunc("/quiet", func(http.ResponseWriter, *http.Request) { flooding.Store(false) })
	mux.HandleFunc("/print", func(_ http.ResponseWriter, r *http.Request) { lines <- r.URL.Query().Get("line") })
	mux.HandleFunc("/written", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, written.Load()) })
	mux.HandleFunc("/_health/", func(http.ResponseWriter, *http.Request) {})
	server := &http.Server{Addr: os.Getenv("SENTRY_DEVSERVER_BIND"), Handler: mux, ReadHeaderTimeout: time.Minute}
	fmt.Println(server.ListenAndServe())
	return 1
}

const loudTopology = `version = 1
[sentry]
command = ["loud"]
config = "sentry.conf.py"
dialect = "tuple-id"
stop = { grace = "2s" }
[control]
port = 0
[region.us]
id = 1
port = 0
`

// get requests a path from each silo's port and returns the bodies.
func (in *testInstance) get(path string) (answers []string) {
	in.Helper()
	snapshot, err := in.dir.Last()
	if err != nil {
		in.Fatal(err)
	}
	for _, s := range snapshot.Silos {
		response, err := http.Get("http://" + s.Bind + path)
		if err != nil {
			in.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil || response.StatusCode != http.StatusOK {
			in.Fatalf("%s %s: %s, %v", s.Name, path, response.Status, err)
		}
		answers = append(answers, string(body))
	}
	return answers
}

// awaitLines waits until each silo has written that many further lines.
func (in *testInstance) awaitLines(lines int) {
	in.Helper()
	before := in.get("/written")
	in.until("the silos keep writing", func() bool {
		for i, now := range in.get("/written") {
			was, _ := strconv.Atoi(before[i])
			if n, err := strconv.Atoi(now); err != nil || n < was+lines {
				return false
			}
		}
		return true
	})
}

// until polls done and fails the test if it does not become true.
func (in *testInstance) until(what string, done func() bool) {
	in.Helper()
	for end := time.Now().Add(30 * time.Second); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			in.Fatalf("%s: not true within 30 s", what)
		}
	}
}
