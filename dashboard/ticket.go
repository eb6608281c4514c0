package dashboard

import (
	"crypto/rand"
	"sync"
	"time"
)

// ticketLifetime is how long a browser may take to start.
const ticketLifetime = time.Minute

// tickets are tokens that work once. The program that opens a browser gets the address as an
// argument, which every user of the machine can read while the browser runs, so it must not contain
// the token.
type tickets struct {
	mu    sync.Mutex // guards valid
	valid map[string]time.Time
}

// issue returns a new ticket and deletes expired ones.
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
	t.valid[ticket] = now.Add(ticketLifetime)
	return ticket
}

// use invalidates a ticket and reports whether it was valid.
func (t *tickets) use(given string, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for ticket, until := range t.valid {
		if equalSecret(given, ticket) {
			delete(t.valid, ticket)
			return !now.After(until)
		}
	}
	return false
}
