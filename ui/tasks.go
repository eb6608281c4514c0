package ui

import (
	"time"

	"github.com/charmbracelet/x/ansi"
)

// Task is work on one silo.
type Task struct {
	Name   string
	State  string // a word, such as "migrating"; empty: not started
	Began  time.Time
	Took   time.Duration // duration of finished work; 0: still running
	Failed bool
	Line   string // last line of output
}

// Tasks shows the progress of work on several silos: on a terminal in a block
// that is redrawn in place, in a pipe with a plain line for each change of a
// state. The caller calls Update, never concurrently, about ten times a second.
type Tasks struct {
	p       *Printer
	block   *liveBlock
	printed map[string]string // the last state of each task
}

// Tasks returns a display of tasks.
func (p *Printer) Tasks() *Tasks {
	p, block := p.newLiveBlock()
	return &Tasks{p: p, block: block, printed: map[string]string{}}
}

// Update shows the current state of all tasks.
func (t *Tasks) Update(all []Task) {
	longest := 0
	for _, task := range all {
		longest = max(longest, ansi.StringWidth(task.Name))
	}
	rows := make([][]cell, len(all))
	var changes []string
	for i, task := range all {
		rows[i] = t.row(task)
		if task.State != "" && t.printed[task.Name] != task.State {
			t.printed[task.Name] = task.State
			change := pad(clean(task.Name), longest+gap) + t.p.cell(rows[i][1])
			if task.Took > 0 {
				change += " after " + Duration(task.Took)
			}
			changes = append(changes, change)
		}
	}
	if t.p.canRedraw() {
		t.block.draw(t.p.liveRows(rows, len("migrating")))
	} else {
		t.p.print(changes)
	}
}

// Done removes the block. It may be called twice.
func (t *Tasks) Done() { t.block.erase() }

func (t *Tasks) row(task Task) []cell {
	row := []cell{{text: clean(task.Name)}, {text: task.State, style: busy}, {text: Duration(task.Took), style: muted}, {}}
	switch {
	case task.State == "":
		row[1], row[2].text = cell{text: "waiting", style: muted}, ""
	case task.Failed:
		row[1].style = bad
	case task.Took > 0:
		row[1].style = good
	}
	if task.State != "" && task.Took == 0 {
		row[2].text = Duration(t.p.now().Sub(task.Began))
		row[3] = cell{text: clean(task.Line), style: muted}
	}
	return row
}
