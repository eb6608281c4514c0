package main

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// browses requests a host from the port that routes by host, like a browser that resolves
// *.localhost itself. The named silo must answer; without a name, the status must be 404:
// browses HOST [SILO].
func browses(ts *testscript.TestScript, _ bool, args []string) {
	front := snapshot(ts).Silos[0].BrowseURL
	if front == nil {
		ts.Fatalf("no address for browsers")
	}
	at, err := url.Parse(*front)
	ts.Check(err)
	for _, family := range []string{"127.0.0.1", "[::1]"} {
		request, err := http.NewRequest(http.MethodGet, "http://"+family+":"+at.Port()+"/whoami", nil)
		ts.Check(err)
		request.Close, request.Host = true, args[0]+":"+at.Port()
		answer, err := http.DefaultClient.Do(request)
		if err != nil && strings.HasPrefix(family, "[") {
			continue // a machine without IPv6
		}
		ts.Check(err)
		var me struct{ Name string }
		_ = json.NewDecoder(answer.Body).Decode(&me) // other pages are not JSON
		_ = answer.Body.Close()
		if want := strings.Join(args[1:], ""); me.Name != want || (answer.StatusCode == http.StatusNotFound) != (want == "") {
			ts.Fatalf("%s at %s: %d by %q", args[0], family, answer.StatusCode, me.Name)
		}
	}
}
