package main

import (
	"context"
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// shots is the directory for screenshots of the page:
// go test -run TestDashboard -shots DIR .
var shots = flag.String("shots", "", "save screenshots of the dashboard in `DIR`")

// browser is a headless Chromium with one tab, and records its errors.
type browser struct {
	*testing.T
	ctx context.Context //nolint:containedctx // chromedp keeps a browser in its context

	mu     sync.Mutex // guards all below
	errors []string
	hosts  []string // hosts that were requested
}

// chromium returns the path of an installed Chromium or Chrome, or an empty string.
func chromium() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	for _, name := range []string{"Google Chrome", "Chromium"} {
		path := filepath.Join("/Applications", name+".app", "Contents", "MacOS", name)
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return ""
}

// browse starts a browser, or skips the test if none is installed.
func browse(t *testing.T) *browser {
	t.Helper()
	path := chromium()
	if path == "" {
		t.Skip("no Chromium or Chrome is installed (apt-get install chromium)")
	}
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.ExecPath(path))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium has no sandbox for root
	}
	allocated, end := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(end)
	ctx, leave := chromedp.NewContext(allocated)
	t.Cleanup(leave)
	b := &browser{T: t, ctx: ctx}
	if err := chromedp.Listen(ctx, b.hear); err != nil {
		t.Fatal(err)
	}
	b.do(chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, network.Enable, network.EnableParams{})
		return err
	}))
	return b
}

// hear records errors, violations of the content policy and requested hosts.
func (b *browser) hear(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		b.errors = append(b.errors, fmt.Sprintf("%+v", e.ExceptionDetails.Exception))
	case *runtime.EventConsoleAPICalled:
		b.errors = append(b.errors, fmt.Sprintf("console: %s", e.Type))
	case *log.EventEntryAdded:
		b.errors = append(b.errors, e.Entry.Text+" "+e.Entry.URL)
	case *network.EventRequestWillBeSent:
		if u, err := url.Parse(e.Request.URL); err == nil && u.Host != "" && !slices.Contains(b.hosts, u.Host) {
			b.hosts = append(b.hosts, u.Host)
		}
	}
}

// limit bounds one step. It is generous for a busy machine.
const limit = 30 * time.Second

func (b *browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, limit)
	if chromedp.FromContext(b.ctx).Target == nil {
		ctx = b.ctx // the first step starts the browser, which stops when that step's context ends
	}
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.Fatalf("%v; the page:\n%s", err, b.page())
	}
}

func (b *browser) click(selector string) {
	b.Helper()
	b.do(chromedp.WaitVisible(chromedp.CSS(selector)), chromedp.Click(chromedp.CSS(selector)))
}

func (b *browser) keys(keys string) {
	b.Helper()
	b.do(chromedp.KeyEvent(keys))
}

// choose selects an option by its value and sends the event that a user's choice would
// send.
func (b *browser) choose(selector, value string) {
	b.Helper()
	b.until(fmt.Sprintf("!!document.querySelector(%q)", selector+" option[value='"+value+"']"))
	b.js(fmt.Sprintf("{ const s = document.querySelector(%q); s.value = %q; s.dispatchEvent(new Event('change', {bubbles: true})); true }", selector, value))
}

func (b *browser) js(expression string) bool {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, limit)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[bool](expression))
	if err != nil {
		b.Fatalf("%s: %v", expression, err)
	}
	return value
}

// redraw waits until the page has been redrawn, which applies another width.
func (b *browser) redraw() {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, limit)
	defer cancel()
	drawn := "new Promise((then) => requestAnimationFrame(() => requestAnimationFrame(() => then(true))))"
	if _, err := chromedp.Run(ctx, chromedp.Evaluate[bool](drawn, chromedp.EvalAwaitPromise)); err != nil {
		b.Fatal(err)
	}
}

// until waits until an expression is true.
func (b *browser) until(expression string) {
	b.Helper()
	for end := time.Now().Add(limit); !b.js("!!(" + expression + ")"); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			b.Fatalf("not true within the limit: %s\nthe page:\n%s", expression, b.page())
		}
	}
}

// shows waits until an element contains a text.
func (b *browser) shows(selector, text string) {
	b.Helper()
	b.until(fmt.Sprintf("[...document.querySelectorAll(%q)].some((e) => e.textContent.includes(%q))", selector, text))
}

// page returns the HTML of the page.
func (b *browser) page() string {
	ctx, cancel := context.WithTimeout(b.ctx, limit)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string]("document.documentElement.outerHTML"))
	if err != nil {
		return err.Error()
	}
	return text
}

// look sets the width and the colour scheme, and checks that the view fits.
func (b *browser) look(name string, width int64, colours string) {
	b.Helper()
	b.do(chromedp.EmulateViewport(width, 820), chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: colours}},
		})
		return err
	}))
	b.redraw()
	if b.js("document.documentElement.scrollWidth > window.innerWidth") {
		b.Errorf("%s scrolls sideways at %d pixels", name, width)
	}
	if *shots == "" {
		return
	}
	ctx, cancel := context.WithTimeout(b.ctx, limit)
	defer cancel()
	picture, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.Fatal(err)
	}
	write(b.T, filepath.Join(*shots, fmt.Sprintf("%s-%s-%d.png", name, colours, width)), string(picture))
}

// everyLook checks a view on wide and narrow, light and dark screens.
func (b *browser) everyLook(name string) {
	b.Helper()
	for _, colours := range []string{"light", "dark"} {
		for _, width := range []int64{400, 1280} {
			b.look(name, width, colours)
		}
	}
}

// forgive drops errors that a test caused on purpose.
func (b *browser) forgive(about string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.errors = slices.DeleteFunc(b.errors, func(text string) bool { return strings.Contains(text, about) })
}

// clean checks that there were no errors, and no requests to other hosts.
func (b *browser) clean(host string) {
	b.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.errors) > 0 {
		b.Errorf("errors in the browser:\n%s", strings.Join(b.errors, "\n"))
	}
	if !slices.Equal(b.hosts, []string{host}) {
		b.Errorf("requests to %v, want only %s", b.hosts, host)
	}
}
