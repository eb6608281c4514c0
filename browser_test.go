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

// shots is where pictures of the page are put, to be looked at:
// go test -run TestDashboard -shots DIR .
var shots = flag.String("shots", "", "put pictures of the dashboard into `DIR`")

// browser is a headless Chromium with one tab, which keeps what went wrong there.
type browser struct {
	*testing.T
	ctx context.Context //nolint:containedctx // chromedp keeps a browser in its context

	mu     sync.Mutex // guards all below
	faults []string
	hosts  []string // that anything was asked of
}

// chromium finds one of the browsers that Chromium's protocol drives, or nothing.
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

// browse starts a browser, or skips the test where this machine has none.
func browse(t *testing.T) *browser {
	t.Helper()
	path := chromium()
	if path == "" {
		t.Skip("there is no Chromium or Chrome here, and so nothing that could look at the page (apt-get install chromium)")
	}
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.ExecPath(path))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // which Chromium refuses to root
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

// hear keeps what no page should cause: errors, violations of its policy, and
// questions to other hosts.
func (b *browser) hear(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		b.faults = append(b.faults, fmt.Sprintf("%+v", e.ExceptionDetails.Exception))
	case *runtime.EventConsoleAPICalled:
		b.faults = append(b.faults, fmt.Sprintf("console: %s", e.Type))
	case *log.EventEntryAdded:
		b.faults = append(b.faults, e.Entry.Text+" "+e.Entry.URL)
	case *network.EventRequestWillBeSent:
		if u, err := url.Parse(e.Request.URL); err == nil && u.Host != "" && !slices.Contains(b.hosts, u.Host) {
			b.hosts = append(b.hosts, u.Host)
		}
	}
}

// limit bounds one step on a busy machine.
const limit = 30 * time.Second

func (b *browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, limit)
	if chromedp.FromContext(b.ctx).Target == nil {
		ctx = b.ctx // the first one starts the browser, which lives as long as its context
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

// choose picks an option as a hand does: by its value, with the events of a choice.
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

// settle waits until the page has been drawn anew: what it does at another width
// it does then, and no sooner.
func (b *browser) settle() {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, limit)
	defer cancel()
	drawn := "new Promise((then) => requestAnimationFrame(() => requestAnimationFrame(() => then(true))))"
	if _, err := chromedp.Run(ctx, chromedp.Evaluate[bool](drawn, chromedp.EvalAwaitPromise)); err != nil {
		b.Fatal(err)
	}
}

// until waits for an expression to hold.
func (b *browser) until(expression string) {
	b.Helper()
	for end := time.Now().Add(limit); !b.js("!!(" + expression + ")"); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			b.Fatalf("never: %s\nthe page:\n%s", expression, b.page())
		}
	}
}

// shows waits for an element to hold a text.
func (b *browser) shows(selector, text string) {
	b.Helper()
	b.until(fmt.Sprintf("[...document.querySelectorAll(%q)].some((e) => e.textContent.includes(%q))", selector, text))
}

// page is everything that the page holds.
func (b *browser) page() string {
	ctx, cancel := context.WithTimeout(b.ctx, limit)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string]("document.documentElement.outerHTML"))
	if err != nil {
		return err.Error()
	}
	return text
}

// look sets the width and the colours, and wants no view to be wider than that.
func (b *browser) look(name string, width int64, colours string) {
	b.Helper()
	b.do(chromedp.EmulateViewport(width, 820), chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: colours}},
		})
		return err
	}))
	b.settle()
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

// everyLook looks at a view as wide and narrow, light and dark screens show it.
func (b *browser) everyLook(name string) {
	b.Helper()
	for _, colours := range []string{"light", "dark"} {
		for _, width := range []int64{400, 1280} {
			b.look(name, width, colours)
		}
	}
}

// forgive forgets complaints that speak of what was done on purpose.
func (b *browser) forgive(about string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults = slices.DeleteFunc(b.faults, func(fault string) bool { return strings.Contains(fault, about) })
}

// clean wants nothing to have gone wrong, and nobody else to have been asked.
func (b *browser) clean(host string) {
	b.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.faults) > 0 {
		b.Errorf("the browser complains:\n%s", strings.Join(b.faults, "\n"))
	}
	if !slices.Equal(b.hosts, []string{host}) {
		b.Errorf("%s was to be asked alone, and %v were", host, b.hosts)
	}
}
