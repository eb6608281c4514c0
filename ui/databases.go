package ui

// Database is a row of the table of databases.
type Database struct {
	Silo, Name, Server string
	Size               int64  // in bytes; 0: unknown
	State              string // of its migrations
	Bad                bool   // the state needs attention
}

// Databases prints one row for each silo's database.
func (p *Printer) Databases(all []Database) {
	t := p.newTable(
		column{head: "SILO"},
		column{head: "DATABASE"},
		column{head: "MIGRATIONS"},
		column{head: "SIZE", drop: 1, right: true},
		column{head: "SERVER", drop: 2},
	)
	rows := make([][]cell, len(all))
	for i, d := range all {
		size, style := "", good
		if d.Size > 0 {
			size = Bytes(d.Size)
		}
		if d.Bad {
			style = bad
		}
		rows[i] = []cell{{text: d.Silo}, {text: clean(d.Name)}, {text: d.State, style: style}, p.known(size, plain), {text: clean(d.Server), style: muted}}
	}
	p.print(t.lines(rows))
}
