package traffic

import (
	"cmp"
	"net/http"
	"slices"
	"sync"
)

const (
	// DefaultLimit bounds what a Log keeps, in bytes.
	DefaultLimit = 32 << 20

	// Overhead of an exchange in addition to its texts and bodies, and of a header field
	// in addition to its name and values, in bytes. TestFullLogUsesItsLimit measures
	// them.
	exchangeSize, fieldSize, valueSize = 512, 64, 16
)

// MaxExchanges exceeds the number of exchanges that a Log of DefaultLimit can keep.
const MaxExchanges = DefaultLimit/exchangeSize + 1

// Log keeps the latest exchanges, including open ones, up to a memory limit, and counts
// all of them. Its methods may be called from any goroutine, and do not block.
type Log struct {
	limit int64

	mu      sync.Mutex // guards all below
	kept    []record   // by ID, without gaps
	bytes   int64      // of all kept exchanges
	lastID  uint64
	version uint64        // number of changes so far
	changed chan struct{} // closed at the next change; nil if nothing waits for it
	calls   map[[2]string]*Call
}

// record is an exchange in a Log. A change replaces the exchange, so readers may use it
// without holding the Log's lock.
type record struct {
	exchange *Exchange
	bytes    int64
	version  uint64 // version of its last change
}

// NewLog returns a Log that keeps about limit bytes.
func NewLog(limit int64) *Log {
	return &Log{limit: limit, calls: map[[2]string]*Call{}}
}

// Begin assigns an ID and the state Open to e, and keeps a copy. The caller must not
// change anything that e refers to.
func (l *Log) Begin(e *Exchange) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lastID++
	e.ID, e.State = l.lastID, Open
	l.kept = append(l.kept, record{})
	l.set(len(l.kept)-1, *e)
}

// Update lets f change the copy of an open exchange, for readers. It does nothing if
// the exchange has ended or is no longer kept. f must not call l.
func (l *Log) Update(id uint64, f func(e *Exchange)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i, ok := l.index(id)
	if !ok || l.kept[i].exchange.State != Open {
		return
	}
	e := *l.kept[i].exchange
	f(&e)
	l.set(i, e)
}

// End replaces the exchange whose ID is e.ID with a copy of e and counts it. If the
// exchange is no longer kept, End only counts it. The caller must not change anything
// that e refers to.
func (l *Log) End(e *Exchange) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count(e)
	if i, ok := l.index(e.ID); ok {
		l.set(i, *e)
	}
}

// set replaces an exchange and drops the oldest ones beyond the limit, but not the
// newest. The caller must hold mu.
func (l *Log) set(i int, e Exchange) {
	l.version++
	bytes := size(&e)
	l.bytes += bytes - l.kept[i].bytes
	l.kept[i] = record{exchange: &e, bytes: bytes, version: l.version}
	for l.bytes > l.limit && len(l.kept) > 1 {
		l.bytes -= l.kept[0].bytes
		l.kept[0] = record{} // frees the exchange
		l.kept = l.kept[1:]
	}
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// count must be called with mu held.
func (l *Log) count(e *Exchange) {
	key := [2]string{e.Caller.Name(), e.Silo}
	c := l.calls[key]
	if c == nil {
		c = &Call{From: key[0], To: key[1]}
		l.calls[key] = c
	}
	c.Requests++
	c.Crossing = c.Crossing || e.Crossing
	if e.State == Broken || e.Status >= http.StatusInternalServerError {
		c.Errors++
	}
	if e.Blocked {
		c.Blocked++
	}
	if e.Total != nil {
		c.Seconds += *e.Total
	}
}

// index returns the index of an exchange in kept. The caller must hold mu.
func (l *Log) index(id uint64) (int, bool) {
	return slices.BinarySearchFunc(l.kept, id, func(r record, id uint64) int { return cmp.Compare(r.exchange.ID, id) })
}

// Get returns an exchange that is still kept, unmasked.
func (l *Log) Get(id uint64) (Exchange, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i, ok := l.index(id)
	if !ok {
		return Exchange{}, false
	}
	return *l.kept[i].exchange, true
}

// List returns the latest n exchanges that match filter, unmasked and oldest first. If
// n is 0, it returns all. Pass the version to Since.
func (l *Log) List(filter Filter, n int) (list []Exchange, version uint64) {
	l.mu.Lock()
	kept, version := slices.Clone(l.kept), l.version
	l.mu.Unlock()
	for _, r := range slices.Backward(kept) {
		if filter.Match(*r.exchange) {
			list = append(list, *r.exchange)
			if len(list) == n {
				break
			}
		}
	}
	slices.Reverse(list)
	return list, version
}

// Change is the latest change of an exchange.
type Change struct {
	Version  uint64 `json:"version"` // of the log after the change
	Exchange `json:"request"`
}

// Since returns the kept exchanges that changed after a version and match filter, in
// the order of these changes, and a channel that is closed at the next change. A
// version that the Log has not reached belongs to another one, and counts as 0.
func (l *Log) Since(version uint64, filter Filter) (list []Change, now uint64, changed <-chan struct{}) {
	l.mu.Lock()
	kept, now := slices.Clone(l.kept), l.version
	if l.changed == nil {
		l.changed = make(chan struct{})
	}
	changed = l.changed
	l.mu.Unlock()
	if version > now {
		version = 0
	}
	kept = slices.DeleteFunc(kept, func(r record) bool { return r.version <= version })
	slices.SortFunc(kept, func(a, b record) int { return cmp.Compare(a.version, b.version) })
	for _, r := range kept {
		if filter.Match(*r.exchange) {
			list = append(list, Change{r.version, *r.exchange})
		}
	}
	return list, now, changed
}

// Calls returns the counts of calls, sorted by caller and silo.
func (l *Log) Calls() []Call {
	l.mu.Lock()
	defer l.mu.Unlock()
	calls := make([]Call, 0, len(l.calls))
	for _, c := range l.calls {
		calls = append(calls, *c)
	}
	slices.SortFunc(calls, func(a, b Call) int { return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To)) })
	return calls
}

// size estimates the memory that an exchange takes, in bytes.
func size(e *Exchange) int64 {
	n := exchangeSize + len(e.Method) + len(e.Host) + len(e.Path)
	for _, m := range [...]*Message{&e.Request, &e.Response} {
		n += cap(m.Body)
		for _, header := range []http.Header{m.Header, m.Trailer} {
			for name, values := range header {
				n += fieldSize + len(name)
				for _, value := range values {
					n += valueSize + len(value)
				}
			}
		}
	}
	return int64(n)
}
