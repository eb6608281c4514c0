package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/creack/pty"

	"silo/state"
)

// dashboardTopology blocks calls between regions: each request then waits until its
// caller is known, however busy the machine is.
const dashboardTopology = `version = 1
name = "acme"
[sentry]
command = ["silo", "devserver"]
config = "sentry.conf.py"
dialect = "tuple-id"
[isolation]
regions = "block"
[control]
port = 0
[region.us-west]
id = 1
port = 0
[region.eu-central]
id = 2
port = 0
[region.customer-1]
id = 3
category = "SINGLE_TENANT"
port = 0
`

// planted is a secret in a request: no page and no export may show it.
const planted = "PLANTED-a8f3"

// watched is an instance of four silos and a browser that shows it.
type watched struct {
	*browser
	lane    *testInstance
	address string // of the page, with its token
}

// TestDashboard clicks through the page of a real instance.
func TestDashboard(t *testing.T) {
	t.Parallel()
	b := browse(t)
	l := newTestInstance(t)
	l.topology(dashboardTopology)
	w := &watched{browser: b, lane: l}
	w.silo("up", "-d")
	w.address = strings.TrimSpace(w.silo("dashboard"))
	w.traffic()
	t.Run("strangers", w.strangers)
	for _, step := range []struct {
		name string
		see  func()
	}{
		{"silos", w.silos},
		{"links of a silo", w.siloLinks},
		{"tunnels", w.tunnels},
		{"requests", w.requests},
		{"replay", w.replay},
		{"calls", w.calls},
		{"a flood", w.flood},
		{"logs", w.logs},
		{"secrets", w.secrets},
		{"down", w.down},
	} {
		if t.Failed() {
			return // the remaining steps need its page
		}
		t.Log(step.name)
		step.see()
	}
}

// silo runs a command to its end.
func (w *watched) silo(args ...string) string {
	w.Helper()
	out, err := w.lane.silo(args...).Output()
	if err != nil {
		w.Fatalf("silo %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// traffic makes requests of each kind.
func (w *watched) traffic() {
	for range 3 {
		w.silo("request", "us-west", "/whoami?as=user", "-H", "Authorization: Bearer "+planted, "-H", "Cookie: sentrysid="+planted)
		w.silo("request", "control", "/call/us-west")
		w.silo("request", "us-west", "/call/control")
	}
	w.silo("request", "customer-1", "POST", "/echo/%7B%22a%22?limit=5", "-d", `{"slug":"acme","members":[1,2]}`)
	w.silo("request", "eu-central", "/api/0/nosuch/")
	w.silo("request", "eu-central", "/call/us-west?rule=off")
}

// strangers checks that only the page gets access.
func (w *watched) strangers(t *testing.T) {
	page, err := url.Parse(w.address)
	if err != nil {
		t.Fatal(err)
	}
	own := "http://" + page.Host
	for name, c := range map[string]struct {
		method, path, host, origin string
		want                       int
	}{
		"no token":                {"GET", "/", page.Host, "", http.StatusNotFound},
		"no token, data":          {"GET", "/v1/snapshot", page.Host, "", http.StatusNotFound},
		"another host":            {"GET", page.Path, "evil.example:" + page.Port(), "", http.StatusNotFound},
		"another host, a command": {"POST", page.Path + "v1/down", "evil.example", own, http.StatusNotFound},
		"another origin":          {"POST", page.Path + "v1/down", page.Host, "http://evil.example", http.StatusForbidden},
		"no origin":               {"POST", page.Path + "v1/down", page.Host, "", http.StatusForbidden},
		"a command by GET":        {"GET", page.Path + "v1/down", page.Host, "", http.StatusMethodNotAllowed},
		"a replay by GET":         {"GET", page.Path + "v1/replay", page.Host, "", http.StatusMethodNotAllowed},
		"the token by the page":   {"GET", page.Path + "v1/dashboard", page.Host, "", http.StatusNotFound},
		"the page itself":         {"GET", page.Path, page.Host, "", http.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), c.method, own+c.path, strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			r.Host = c.host
			r.Header.Set("Content-Type", "application/json")
			if c.origin != "" {
				r.Header.Set("Origin", c.origin)
			}
			response, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = response.Body.Close() }()
			if response.StatusCode != c.want {
				t.Errorf("answered %s", response.Status)
			}
		})
	}
}

// open goes to a view, as the tabs do.
func (w *watched) open(view string) {
	w.Helper()
	w.click(`nav a[href="#/` + view + `"]`)
	w.until(fmt.Sprintf(`document.querySelector('nav a[aria-current="page"]').hash === "#/%s"`, view))
}

// slash presses the key that focuses a view's filter. The key events of the protocol
// would also type it there, unlike a keyboard.
func (w *watched) slash() {
	w.js(`document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "/", bubbles: true, cancelable: true })), true`)
}

func row(silo string) string { return `tr[data-silo="` + silo + `"]` }

// silos stops, starts and restarts one, by mouse and by keyboard.
func (w *watched) silos() {
	w.do(chromedp.EmulateViewport(1280, 820), chromedp.Navigate(w.address))
	w.until(`document.querySelectorAll('.silos .state[data-state="ready"]').length === 4`)
	w.shows("h1", "acme")
	w.shows(row("us-west"), "MB") // of a probe
	w.shows(".facts", "in step")
	w.everyLook("silos")
	w.js(`window.heard = [], new MutationObserver(() => heard.push(document.querySelector("#live").textContent)).observe(
		document.querySelector("#live"), { childList: true, characterData: true, subtree: true }), true`)
	for _, keyboard := range []bool{false, true} {
		for _, step := range []struct{ button, label, after string }{
			{":nth-child(2)", "Stop", "stopped"},
			{":nth-child(2)", "Start", "ready"},
			{":nth-child(1)", "Restart", "ready"},
		} {
			button := row("customer-1") + " .actions button" + step.button
			element := fmt.Sprintf("document.querySelector(%q)", button)
			w.shows(button, step.label)
			w.until(element + ".ariaDisabled !== 'true'") // until its last request has ended
			w.js("heard = [], true")
			if keyboard {
				w.js(element + ".focus(), true")
				w.keys(kb.Enter)
			} else {
				w.click(button)
			}
			w.until(fmt.Sprintf("heard.some((text) => text.includes(%q))", "customer-1 is "+step.after)) // the next change replaces it
			w.shows(row("customer-1")+" .state", step.after)
			if keyboard {
				w.until("document.activeElement === " + element)
			}
		}
	}
}

// siloLinks goes from a silo to its logs and requests, and sees where a request came from
// while another one is open on a wide screen.
func (w *watched) siloLinks() {
	for _, view := range []string{"logs", "requests"} {
		w.open("silos")
		w.click(row("us-west") + fmt.Sprintf(` .links a[href="#/%s?silo=us-west"]`, view))
		w.until(fmt.Sprintf(`document.querySelector('nav a[aria-current="page"]').hash === "#/%s"`, view))
		w.until(`[...document.querySelectorAll("#log-silo, #f-silo")].some((e) => e.value === "us-west")`)
	}
	w.look("request", 1400, "light")
	w.click(".requests tbody tr:first-child a")
	w.until(`!document.querySelector(".detail").hidden && document.querySelector(".requests .by").checkVisibility()`)
	w.look("request", 1280, "light")
	w.until(`!document.querySelector(".requests .by").checkVisibility()`)
	w.keys(kb.Escape)
	w.choose("#f-silo", "")
}

func (w *watched) tunnels() {
	w.open("tunnels")
	w.until(`document.querySelectorAll('.state[data-state="online"]').length === 4`)
	w.everyLook("tunnels")
	w.look("tunnels", 400, "light")
	w.until(`[...document.querySelectorAll(".cards a[href]")].every((e) => e.getBoundingClientRect().height >= 24)`) // WCAG 2.2, 2.5.8
	w.look("tunnels", 1280, "light")
}

// requests finds one by mouse, and one only by keyboard.
func (w *watched) requests() {
	w.open("requests")
	w.shows(".requests tbody tr", "/api/0/nosuch/")
	w.everyLook("requests")
	w.silo("request", "eu-central", "/echo/live-one")
	w.shows(".requests tbody tr:first-child", "/echo/live-one") // without a reload
	w.choose("#f-status", "4xx")
	w.until(`[...document.querySelectorAll(".requests .code")].every((e) => e.textContent.startsWith("4"))`)
	w.shows(".requests tbody tr", "/api/0/nosuch/")
	w.choose("#f-status", "")
	w.slash()
	w.until(`document.activeElement.id === "f-path"`)
	w.keys("as=user")
	w.until(`[...document.querySelectorAll(".requests .path")].every((e) => e.textContent.includes("as=user"))`)
	w.until(`document.querySelectorAll(".requests tbody tr").length === 3`)
	for _, focus := range []string{"document.querySelector('#f-path').focus()", "document.activeElement.blur()"} {
		w.js(focus + ", true")
		w.keys(kb.ArrowDown)
		w.until(`document.activeElement === document.querySelector(".requests tbody tr:nth-child(1) a")`)
	}
	w.keys(kb.ArrowDown)
	w.until(`document.activeElement === document.querySelector(".requests tbody tr:nth-child(2) a")`)
	w.keys(kb.Enter)
	w.shows(".detail .gist", "us-west")
	w.shows(".detail .body pre", `  "mode": "REGION"`) // indented
	w.shows(".detail .headers", "Authorization")
	w.shows(".detail .headers", "Bearer ***")
	w.everyLook("request")
	w.look("request", 400, "light")
	w.until(`document.querySelector(".top").inert && document.querySelector(".list").inert`) // they are behind it
	w.look("request", 1280, "light")
	w.until(`!document.querySelector(".top").inert`)
	w.js(`document.querySelector(".detail button").focus(), true`)
	w.keys(kb.Escape)
	w.until(`document.querySelector(".detail").hidden && document.activeElement.closest("tr")`)
	w.js(`(document.querySelector("#f-path").value = "", document.querySelector("#f-path").dispatchEvent(new Event("input")), true)`)
}

// replay sends a POST to another silo.
func (w *watched) replay() {
	w.shows(".requests tbody tr", "/echo/")
	w.choose("#f-method", "POST")
	w.until(`document.querySelectorAll(".requests tbody tr").length === 1`)
	w.click(".requests tbody tr a")
	w.shows(".detail .body pre", `"slug": "acme"`)
	w.choose("#replay-to", "us-west")
	w.click(".replay button")
	w.shows(".detail", "Replay of")
	w.shows(".detail .gist", "us-west")
	w.shows(".requests tbody tr:first-child .to", "us-west")
	w.choose("#f-method", "")
	w.until(`document.querySelectorAll(".requests tbody tr").length > 10`)
	w.until(`document.querySelector(".requests tbody tr").hasAttribute("data-selected")`) // the latest is the first
	w.everyLook("replay")
}

func (w *watched) calls() {
	w.open("calls")
	w.shows(".crossing", "eu-central → us-west")
	w.shows(".crossed", "1 blocked")
	w.everyLook("calls")
	w.click(`.matrix a[href*="from=eu-central"]`)
	w.until(`document.querySelectorAll(".requests tbody tr").length === 1`)
	w.shows(".requests tbody tr.crossed .by", "eu-central")
}

// flood sends more requests than the page keeps.
func (w *watched) flood() {
	w.open("requests")
	snapshot, err := w.lane.dir.Last()
	if err != nil {
		w.Fatal(err)
	}
	for n := range 600 {
		response, err := http.Get(fmt.Sprintf("%s/_health/?n=%d", snapshot.Silos[0].URL, n))
		if err != nil {
			w.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
	}
	w.shows(".requests tbody tr:first-child", "n=599")
	w.until(`document.querySelectorAll(".requests tbody tr").length === 500`)
	w.until(`[...document.querySelectorAll(".requests tbody tr")].every((e, i, all) => i === 0 || Number(e.dataset.id) < Number(all[i - 1].dataset.id))`)
}

// logs follows one silo's log and finds a line.
func (w *watched) logs() {
	w.open("logs")
	w.shows(".line .who", "control")
	w.shows(".line .who", "customer-1")
	w.everyLook("logs") // at narrow widths too, when lines wrap, the latest stays visible
	w.until(`((e) => e.scrollHeight > e.clientHeight && e.scrollHeight - e.scrollTop - e.clientHeight < 24)(document.querySelector(".log"))`)
	w.look("logs", 400, "light")
	w.until(`((e) => e.scrollHeight - e.scrollTop - e.clientHeight < 24)(document.querySelector(".log"))`)
	w.look("logs", 1280, "light")
	w.choose("#log-silo", "eu-central")
	w.until(`document.querySelectorAll(".line").length > 0 && [...document.querySelectorAll(".line .who")].every((e) => e.textContent === "eu-central")`)
	w.silo("request", "eu-central", "/echo/followed")
	w.shows(".line", "/echo/followed")
	w.slash()
	w.until(`document.activeElement.id === "log-grep"`)
	w.keys("follow(ed|er)")
	w.until(`document.querySelectorAll(".line").length === 1`)
	w.keys("(")
	w.until(`document.querySelector("#log-grep").getAttribute("aria-invalid") === "true"`)
	w.forgive("/v1/logs?") // the browser also logs the status 400
}

// secrets looks for the planted secret and the page's token where neither belongs.
func (w *watched) secrets() {
	for _, view := range []string{"silos", "tunnels", "calls", "requests", "logs"} {
		w.open(view)
		w.until(`document.querySelector("main h2")`)
		if strings.Contains(w.page(), planted) {
			w.Errorf("%s shows the secret", view)
		}
	}
	for _, path := range []string{"v1/requests?n=0", "v1/requests.har", "v1/snapshot"} {
		response, err := http.Get(w.address + path)
		if err != nil {
			w.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil || !json.Valid(body) || bytes.Contains(body, []byte(planted)) {
			w.Errorf("%s: %v, or it contains the secret, or is not JSON: %s", path, err, body)
		}
	}
	page, err := url.Parse(w.address)
	if err != nil {
		w.Fatal(err)
	}
	token := strings.Trim(page.Path, "/")
	err = filepath.WalkDir(w.lane.folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		for _, secret := range []string{planted, token} {
			if bytes.Contains(text, []byte(secret)) {
				w.Errorf("%s contains %s", path, secret)
			}
		}
		return err
	})
	if err != nil {
		w.Error(err)
	}
	w.clean(page.Host)
}

// down shuts the instance down from its page.
func (w *watched) down() {
	w.open("silos")
	w.click(".head .danger")
	w.keys(kb.Escape)
	w.until(`!document.querySelector("dialog")`)
	w.click(".head .danger")
	w.click("dialog .danger")
	w.shows("#banner", "silo has ended")
	w.shows("#link", "Ended")
	w.lane.gone(w.lane.run, time.Now(), "shut down by its page")
	last, err := w.lane.dir.Last()
	if err != nil || last.State != state.InstanceStopped || last.Dashboard != nil {
		w.Errorf("the last snapshot is %+v, %v", last, err)
	}
	w.silo("up", "-d") // on the same port, with another token
	w.shows("#banner", "the previous run")
	w.silo("down")
}

// TestBrowserGetsOneTimeURL checks the argument of the program that opens a browser,
// which every user of the machine can read: it must not contain the token.
func TestBrowserGetsOneTimeURL(t *testing.T) {
	t.Parallel()
	l := newTestInstance(t)
	l.topology(strings.ReplaceAll(dashboardTopology, "port = 0", "port = 0\nready = false"))
	bin, opened := filepath.Join(l.folder, "bin"), filepath.Join(l.folder, "opened")
	if err := os.Mkdir(bin, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"open", "xdg-open"} {
		write(t, filepath.Join(bin, name), "#!/bin/sh\nprintf '%s' \"$*\" > "+opened+".new && mv "+opened+".new "+opened+"\n")
		if err := os.Chmod(filepath.Join(bin, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := l.silo("up", "-d").CombinedOutput(); err != nil {
		t.Fatalf("silo up: %v\n%s", err, out)
	}
	defer l.down()
	cmd := l.silo("dashboard")
	cmd.Env = append(cmd.Env, "DISPLAY=:0", "PATH="+bin+":"+os.Getenv("PATH"))
	terminal, err := pty.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	output, _ := io.ReadAll(terminal) // returns an error when the other side is closed
	_ = terminal.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatalf("silo dashboard: %v\n%s", err, output)
	}
	address, _, _ := strings.Cut(string(output), "\r\n")
	var given []byte
	l.until("opened", func() bool { given, err = os.ReadFile(opened); return err == nil })
	if token := filepath.Base(address); len(token) < 20 || bytes.Contains(given, []byte(token)) {
		t.Fatalf("the page is at %s, and the browser was given %s", address, given)
	}
	for _, want := range []int{http.StatusOK, http.StatusNotFound} { // a ticket works once
		response, err := http.Get(string(given))
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != want || want == http.StatusOK && response.Request.URL.String() != address {
			t.Errorf("%s: %s at %s", given, response.Status, response.Request.URL)
		}
	}
}
