package traffic

// ring is a queue of records in one array, which grows when it is full and is never
// copied otherwise.
type ring struct {
	records []record
	first   int // of records
	count   int
}

// at is record i from the oldest, and may be changed.
func (r *ring) at(i int) *record {
	if i += r.first; i >= len(r.records) {
		i -= len(r.records)
	}
	return &r.records[i]
}

// push adds an empty record and gives its index.
func (r *ring) push() int {
	if r.count == len(r.records) {
		wider := make([]record, max(16, 2*len(r.records)))
		for i := range r.count {
			wider[i] = *r.at(i)
		}
		r.records, r.first = wider, 0
	}
	r.count++
	return r.count - 1
}

// drop forgets the oldest record.
func (r *ring) drop() {
	*r.at(0) = record{} // or what it refers to stays
	if r.first++; r.first == len(r.records) {
		r.first = 0
	}
	r.count--
}
