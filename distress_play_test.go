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

// loud is a devserver that writes without end once it is told to, and says by HTTP
// how many lines it has got rid of.
func loud() int {
	var said atomic.Int64
	var shouting atomic.Bool
	lines := make(chan string)
	go func() {
		for line := range lines {
			fmt.Println(line)
			said.Add(1)
		}
	}()
	shouting.Store(os.Getenv("LOUD") != "")
	go func() {
		for n := 0; ; n++ {
			if !shouting.Load() {
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
	mux.HandleFunc("/loud", func(http.ResponseWriter, *http.Request) { shouting.Store(true) })
	mux.HandleFunc("/quiet", func(http.ResponseWriter, *http.Request) { shouting.Store(false) })
	mux.HandleFunc("/say", func(_ http.ResponseWriter, r *http.Request) { lines <- r.URL.Query().Get("what") })
	mux.HandleFunc("/said", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, said.Load()) })
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

// tell asks every silo's own port for a path.
func (l *lane) tell(path string) (answers []string) {
	l.Helper()
	snapshot, err := l.dir.Last()
	if err != nil {
		l.Fatal(err)
	}
	for _, s := range snapshot.Silos {
		response, err := http.Get("http://" + s.Bind + path)
		if err != nil {
			l.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil || response.StatusCode != http.StatusOK {
			l.Fatalf("%s %s: %s, %v", s.Name, path, response.Status, err)
		}
		answers = append(answers, string(body))
	}
	return answers
}

// goOn wants every silo to get rid of so many lines more.
func (l *lane) goOn(lines int) {
	l.Helper()
	before := l.tell("/said")
	l.until("the silos go on", func() bool {
		for i, now := range l.tell("/said") {
			was, _ := strconv.Atoi(before[i])
			if is, err := strconv.Atoi(now); err != nil || is < was+lines {
				return false
			}
		}
		return true
	})
}

// until waits for something to become true.
func (l *lane) until(what string, is func() bool) {
	l.Helper()
	for end := time.Now().Add(30 * time.Second); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			l.Fatal("not so after 30 s: " + what)
		}
	}
}
