package dashboard

import (
	"crypto/rand"
	"sync"
	"time"
)

// ticketTime is how long a browser may take to start.
const ticketTime = time.Minute

// tickets lead to the page once each. What opens a browser has the address among
// its arguments, for every user of the machine to read for as long as the browser
// runs: the token must not stand there.
type tickets struct {
	mu    sync.Mutex // guards valid
	valid map[string]time.Time
}

// issue makes one, and forgets those that nobody has used in time.
func (t *tickets) issue(now time.Time) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.valid == nil {
		t.valid = map[string]time.Time{}
	}
	for ticket, until := range t.valid {
		if now.After(until) {
			delete(t.valid, ticket)
		}
	}
	ticket := rand.Text()
	t.valid[ticket] = now.Add(ticketTime)
	return ticket
}

// use tells whether a ticket is good. It is no more after that.
func (t *tickets) use(given string, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for ticket, until := range t.valid {
		if same(given, ticket) {
			delete(t.valid, ticket)
			return !now.After(until)
		}
	}
	return false
}
