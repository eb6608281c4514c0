package cmd

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/urfave/cli/v2"

	"silo/api"
	"silo/console"
	"silo/logs"
	"silo/state"
	"silo/ui"
)

// attachedLines is how many earlier lines of each silo an attached view begins with.
const attachedLines = 10

// keyNames select silos in an attached view, in start order.
const keyNames = "123456789abcdefghijklmnopqrstuvwxyz"

// view shows a running instance: its log lines and problems, and on a terminal a line with
// the keys that it takes.
type view struct {
	*app
	client  *api.Client
	names   []string
	only    atomic.Pointer[string] // the silo whose lines are shown; nil: all
	footer  *ui.Footer             // nil without a terminal
	choose  func(name string)      // what happens with the silo that is chosen next; may be nil
	leaving bool                   // q was typed
	leave   context.CancelFunc
	failed  chan error // of a command that a key gave
}

// attachRunning shows a running instance until the user leaves it or it ends.
func (a *app) attachRunning(c *cli.Context) error {
	if c.Bool("detach") || c.Bool("dry-run") || c.NArg() > 0 || c.Bool("json") {
		return &usageError{text: "silo up --attach only shows a running instance: it takes no silos and excludes --detach, --dry-run and --json", hint: "silo up --attach"}
	}
	dir, err := a.instanceDir(c)
	if err != nil {
		return err
	}
	client, err := api.Dial(c.Context, dir)
	if err != nil {
		return err
	}
	defer client.Close()
	snapshot, err := client.Snapshot(c.Context, true)
	if err != nil {
		return err
	}
	a.results.Status(*snapshot)
	ctx, leave := context.WithCancel(c.Context)
	defer leave()
	v := &view{app: a, client: client, leave: leave, failed: make(chan error, 1)}
	for _, s := range snapshot.Silos {
		v.names = append(v.names, s.Name)
	}
	switch err := v.run(ctx, dir); {
	case errors.Is(err, api.ErrNotRunning):
		a.note(snapshot.Name + " has ended")
	case errors.Is(err, context.Canceled):
		a.note(snapshot.Name + " keeps running; " + a.commandFor(dir, c.Bool("demo")) + " down stops it")
	default:
		return err
	}
	return nil
}

// run shows lines and handles keys until ctx ends, or with ErrNotRunning until the instance
// does.
func (v *view) run(ctx context.Context, dir *state.Dir) error {
	tty, interactive := console.Open(v.Stdin, v.Stdout)
	if interactive && v.results.Terminal() && v.env["TERM"] != "dumb" {
		stop, err := v.takeKeys(ctx, tty)
		if err != nil {
			return err
		}
		defer stop()
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- v.watch(ctx); cancel() }()
	query := logs.Query{Silos: v.names, N: attachedLines, Follow: true}
	err := logs.Read(ctx, dir.Logs(), query, v.printLine)
	cancel()
	if watched := <-ended; err == nil || errors.Is(err, context.Canceled) {
		return watched
	}
	return err
}

// watch prints problems of silos and their ends, until the instance has ended.
func (v *view) watch(ctx context.Context) error {
	log := v.messages.StateLog(v.quiet)
	return v.client.Watch(ctx, func(u api.Update) bool {
		log.Update(u.Snapshot)
		return true
	})
}

func (v *view) printLine(l logs.Line) error {
	if only := v.only.Load(); only != nil && *only != l.Silo {
		return nil
	}
	return v.print(v.results.Prefix(l.Silo, v.names) + string(v.results.SanitizeLine(l.Text)) + "\n")
}

// takeKeys shows the line of keys, sends all output above it, and handles keys. stop ends
// that and restores the terminal.
func (v *view) takeKeys(ctx context.Context, tty *console.Console) (stop func(), err error) {
	restore, err := v.keyTerminal(tty)
	if err != nil {
		return nil, err
	}
	stdout, stderr := v.Stdout, v.Stderr
	v.footer = v.results.Footer()
	v.Stdout, v.Stderr = v.footer, v.footer
	v.setPrinters(v.color)
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { defer close(done); v.handleKeys(ctx, tty, &restore) }()
	return func() {
		cancel()
		<-done
		v.footer.Show("")
		v.Stdout, v.Stderr = stdout, stderr
		v.setPrinters(v.color)
		restore()
	}, nil
}

// handleKeys handles keys until ctx ends. restore is replaced when Ctrl-Z was typed.
func (v *view) handleKeys(ctx context.Context, tty *console.Console, restore *func()) {
	keys, reading := make(chan byte), make(chan struct{})
	go func() { defer close(reading); tty.ReadKeys(ctx, keys) }()
	defer func() { <-reading }()
	suspended, stop := console.Suspensions()
	defer stop()
	v.showKeys("")
	for {
		select {
		case key := <-keys:
			v.press(ctx, key)
		case err := <-v.failed:
			v.warn(v.classify(err).Text)
		case <-suspended:
			v.footer.Show("")
			(*restore)()
			console.Suspend()
			if again, err := v.keyTerminal(tty); tty.Foreground() && err == nil {
				*restore = again
				v.showKeys("")
			}
		case <-ctx.Done():
			return
		}
	}
}

// showKeys shows the keys that the view takes now. Each choice is one silo.
func (v *view) showKeys(lead string) {
	var more [][2]string
	if v.choose != nil {
		for i, name := range v.names[:min(len(v.names), len(keyNames))] {
			more = append(more, [2]string{keyNames[i : i+1], name})
		}
		v.footer.Show(v.results.KeyLine(lead, append(more, [2]string{"esc", "cancel"})...))
		return
	}
	if only := v.only.Load(); only != nil {
		lead = "only " + *only
		more = append(more, [2]string{"0", "all logs"})
	}
	v.footer.Show(v.results.KeyLine(lead, append(more, [][2]string{
		{"l", "logs of one"}, {"r", "restart"}, {"o", "open"}, {"w", "dashboard"}, {"d", "detach"}, {"q", "quit"},
	}...)...))
}

// press handles one key.
func (v *view) press(ctx context.Context, key byte) {
	switch {
	case v.choose != nil:
		choose := v.choose
		v.choose = nil
		if i := strings.IndexByte(keyNames, key); i >= 0 && i < len(v.names) {
			choose(v.names[i])
		}
	case v.leaving:
		v.leaving = false
		switch key {
		case 'd':
			v.leave()
		case 's':
			v.command(func() error { return v.client.Down(ctx, false) })
		}
	case key == 'd':
		v.leave()
	case key == 'q':
		v.leaving = true
		v.footer.Show(v.results.KeyLine("quit:", [2]string{"d", "leave it running"}, [2]string{"s", "stop everything"}, [2]string{"esc", "cancel"}))
		return
	case key == 'l':
		v.choose = func(name string) { v.only.Store(&name) }
		v.showKeys("logs of:")
		return
	case key == 'r':
		v.choose = func(name string) { v.command(func() error { return v.client.Restart(ctx, name) }) }
		v.showKeys("restart:")
		return
	case key == '0':
		v.only.Store(nil)
	case key == 'o':
		v.openSilo(ctx)
	case key == 'w':
		if address, err := v.client.DashboardURL(ctx); err == nil {
			v.note("dashboard: " + address)
			v.openBrowser(ctx, v.client)
		}
	}
	v.showKeys("")
}

// command gives a command to the supervisor without waiting for it. A failure is printed.
func (v *view) command(give func() error) {
	go func() { // ends with the supervisor's answer
		if err := give(); err != nil {
			select {
			case v.failed <- err:
			default: // one is enough
			}
		}
	}()
}

// openSilo opens the silo whose lines are shown, or control, in a browser, and prints its
// address.
func (v *view) openSilo(ctx context.Context) {
	snapshot, err := v.client.Snapshot(ctx, false)
	if err != nil {
		return // the instance has ended, which ends the view too
	}
	name := v.names[0]
	if only := v.only.Load(); only != nil {
		name = *only
	}
	i := slices.IndexFunc(snapshot.Silos, func(s state.Silo) bool { return s.Name == name })
	if i < 0 {
		return
	}
	address := snapshot.Silos[i].URL
	if browse := snapshot.Silos[i].BrowseURL; browse != nil {
		address = *browse
	}
	v.note(name + ": " + address)
	v.openAddress(address)
}
