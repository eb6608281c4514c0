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

	// overhead is what an exchange takes beside its texts and bodies, and a header
	// field beside its own while the exchange is open, by a generous guess.
	overhead, fieldOverhead = 512, 64
)

// MaxExchanges is more exchanges than a Log of DefaultLimit keeps: none takes less than
// overhead.
const MaxExchanges = DefaultLimit/overhead + 1

// Log keeps the latest exchanges, as many as its limit of memory allows, and counts
// all of them. Its methods may be called from any goroutine. None blocks, and none
// holds the others up for longer than it takes to copy where things are.
type Log struct {
	limit int64

	mu      sync.Mutex    // guards all below
	kept    ring          // by ID, without gaps
	bytes   int64         // of all kept
	last    uint64        // ID given last
	version uint64        // counts changes
	changed chan struct{} // nil where nobody waits for a change
	calls   map[[2]string]*Call
}

// record is an exchange and when it last changed.
type record struct {
	open            *Exchange // one that has not ended
	packed          []byte    // one that has
	request, answer []byte    // bodies of one that has
	bytes           int64
	version         uint64
}

// open makes a record of a copy of e.
func open(e *Exchange) record {
	kept, _ := copies.Get().(*Exchange)
	if kept == nil {
		kept = new(Exchange)
	}
	*kept = *e
	return record{open: kept, bytes: size(e)}
}

func closed(e *Exchange) record {
	scratch, _ := scratches.Get().(*[]byte)
	if scratch == nil {
		scratch = new([]byte)
	}
	*scratch = pack((*scratch)[:0], e)
	r := record{packed: slices.Clone(*scratch), request: e.Request.Body, answer: e.Response.Body}
	scratches.Put(scratch)
	r.bytes = overhead + int64(cap(r.packed)+cap(r.request)+cap(r.answer))
	return r
}

var (
	copies    sync.Pool // of open exchanges: they are many, and most for a moment
	scratches sync.Pool // where exchanges are packed before it is known how long they are
)

// exchange is what is kept, made anew where it was packed.
func (r *record) exchange() Exchange {
	if r.open != nil {
		return *r.open
	}
	e := unpack(r.packed)
	e.Request.Body, e.Response.Body = r.request, r.answer
	return e
}

// copied is what exchange can be asked of once the Log's lock is let go: a packed
// record never changes, and to unpack a full log's takes long.
func (r *record) copied() record {
	c := *r
	if r.open != nil {
		c.open = new(*r.open)
	}
	return c
}

// NewLog makes a log that keeps about limit bytes. It takes no memory until there
// is something to keep.
func NewLog(limit int64) *Log {
	return &Log{limit: limit, calls: map[[2]string]*Call{}}
}

// Begin gives an exchange whose answer is still to come its ID and state, and keeps a
// copy. What that refers to must not be changed any more.
func (l *Log) Begin(e *Exchange) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last++
	e.ID, e.State = l.last, Open
	l.put(l.kept.push(), open(e))
}

// Update has f change an exchange that has begun, for who looks before it ends. One
// that has ended, or is not kept any more, stays as it is. f must not call back.
func (l *Log) Update(id uint64, f func(e *Exchange)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i, kept := l.index(id)
	if !kept || l.kept.at(i).open == nil {
		return
	}
	e := *l.kept.at(i).open
	f(&e)
	l.put(i, open(&e))
}

// End replaces the exchange of e.ID, which Begin has given, by e, whose State says
// how it ended, and counts it. One that is not kept any more is only counted. The Log
// has the bodies from then on, but neither e nor its headers.
func (l *Log) End(e *Exchange) {
	r := closed(e)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count(e)
	if i, kept := l.index(e.ID); kept {
		l.put(i, r)
	}
}

// put needs mu. The newest exchange is kept however large it is.
func (l *Log) put(i int, r record) {
	l.version++
	r.version = l.version
	at := l.kept.at(i)
	l.bytes += r.bytes - at.bytes
	if at.open != nil {
		*at.open = Exchange{} // or what it refers to stays
		copies.Put(at.open)
	}
	*at = r
	for l.bytes > l.limit && l.kept.count > 1 {
		l.bytes -= l.kept.at(0).bytes
		l.kept.drop()
	}
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// count needs mu.
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

// index needs mu.
func (l *Log) index(id uint64) (int, bool) {
	newer := l.last - id               // wraps around where there is no such ID yet
	if newer >= uint64(l.kept.count) { //nolint:gosec // G115: a count
		return 0, false
	}
	return l.kept.count - 1 - int(newer), true //nolint:gosec // G115: an index of what is in memory
}

// Get finds an exchange that is still kept, with its secrets.
func (l *Log) Get(id uint64) (Exchange, bool) {
	l.mu.Lock()
	i, kept := l.index(id)
	if !kept {
		l.mu.Unlock()
		return Exchange{}, false
	}
	r := l.kept.at(i).copied()
	l.mu.Unlock()
	return r.exchange(), true
}

// List gives the latest n exchanges that filter lets through, oldest first, with
// their secrets; all of them where n is 0. The version is what Since goes on from.
func (l *Log) List(filter Filter, n int) (list []Exchange, version uint64) {
	kept, version := l.copies()
	for _, r := range slices.Backward(kept) {
		if e := r.exchange(); filter.Match(e) {
			list = append(list, e)
			if len(list) == n {
				break
			}
		}
	}
	slices.Reverse(list)
	return list, version
}

// copies are all records, oldest first.
func (l *Log) copies() (kept []record, version uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	kept = make([]record, l.kept.count)
	for i := range kept {
		kept[i] = l.kept.at(i).copied()
	}
	return kept, l.version
}

// Since gives the exchanges that have begun or ended after a version and are still
// kept, in the order of those changes, and a channel that is closed at the next one.
func (l *Log) Since(version uint64, filter Filter) (list []Exchange, now uint64, changed <-chan struct{}) {
	fresh, now, changed := l.fresh(version)
	slices.SortFunc(fresh, func(a, b record) int { return cmp.Compare(a.version, b.version) })
	for _, r := range fresh {
		if e := r.exchange(); filter.Match(e) {
			list = append(list, e)
		}
	}
	return list, now, changed
}

// fresh are the records that have changed after a version.
func (l *Log) fresh(version uint64) (fresh []record, now uint64, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if version == 0 {
		fresh = make([]record, 0, l.kept.count) // it is all of them
	}
	if version < l.version {
		for i := range l.kept.count {
			if r := l.kept.at(i); r.version > version {
				fresh = append(fresh, r.copied())
			}
		}
	}
	if l.changed == nil {
		l.changed = make(chan struct{})
	}
	return fresh, l.version, l.changed
}

// Calls counts who has called whom, by caller and silo.
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

// size is about what an exchange takes, in bytes.
func size(e *Exchange) int64 {
	n := overhead + len(e.Method) + len(e.Host) + len(e.Path)
	for _, m := range [...]*Message{&e.Request, &e.Response} {
		n += cap(m.Body)
		for _, header := range []http.Header{m.Header, m.Trailer} {
			for name, values := range header {
				n += fieldOverhead + len(name)
				for _, value := range values {
					n += len(value)
				}
			}
		}
	}
	return int64(n)
}
