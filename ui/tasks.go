package ui

import (
	"time"
)

// Task is work on one silo.
type Task struct {
	Name   string
	State  string // a word, such as "migrating"; empty: it has not begun
	Began  time.Time
	Took   time.Duration // of work that is over; 0: it is under way
	Failed bool
	Line   string // its last line of output
}

// Tasks tells how work on several silos goes on: on a terminal by a block that is
// drawn over in place, in a pipe by a plain line for each change of a state. The
// caller, one at a time, calls Update about ten times a second.
type Tasks struct {
	p     *Printer
	block block
	said  map[string]string
}

// Tasks begins to tell.
func (p *Printer) Tasks() *Tasks {
	return &Tasks{p: p, block: block{p: p}, said: map[string]string{}}
}

// Update shows how the work stands.
func (t *Tasks) Update(all []Task) {
	longest := 0
	for _, task := range all {
		longest = max(longest, width(task.Name))
	}
	var rows, changes []string
	for _, task := range all {
		head := clean(task.Name) + spaces(longest-width(task.Name)+gap)
		rows = append(rows, head+t.row(task, longest+gap))
		if task.State != "" && t.said[task.Name] != task.State {
			t.said[task.Name] = task.State
			changes = append(changes, head+t.change(task))
		}
	}
	if t.p.movable() {
		t.block.draw(rows)
	} else {
		t.p.print(changes)
	}
}

// Done takes the block away. It may be called twice.
func (t *Tasks) Done() { t.block.erase() }

func (t *Tasks) change(task Task) string {
	text := t.p.paint(task.ink(), task.State)
	if task.Took > 0 {
		text += " after " + Duration(task.Took)
	}
	return text
}

// row is what stands behind the name: state, time, and the last line of output.
func (t *Tasks) row(task Task, used int) string {
	const states, times = len("migrating"), len("59m59s")
	var spent string
	switch {
	case task.State == "":
		return t.p.paint(muted, "waiting")
	case task.Took > 0:
		spent = Duration(task.Took)
	default:
		spent = Duration(t.p.now().Sub(task.Began))
	}
	line := t.p.paint(task.ink(), task.State) + spaces(states-len(task.State)+1+times-len(spent)) + t.p.paint(muted, spent)
	if task.Took > 0 || task.Line == "" {
		return line
	}
	room := t.p.width() - 1 - used - states - 1 - times - gap
	return line + spaces(gap) + t.p.paint(muted, cut(clean(task.Line), room, t.p.glyphs.more))
}

func (task Task) ink() ink {
	switch {
	case task.Failed:
		return bad
	case task.Took > 0:
		return good
	}
	return busy
}
