package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
)

// halfCloser is a connection whose writing side can end alone.
type halfCloser interface{ CloseWrite() error }

// upgrade makes one connection of the client's and the silo's, in the protocol
// that they have agreed on, until both directions have ended, one has failed, or
// the request's context is at its end.
func (p *Proxy) upgrade(w http.ResponseWriter, out *http.Request, answer *http.Response) {
	silo, ok := answer.Body.(io.ReadWriteCloser)
	if !ok {
		p.answer(w, out, errors.New("an upgrade without a connection"))
		return
	}
	defer func() { _ = silo.Close() }() // both directions have ended
	if asked, got := upgradeOf(out.Header), answer.Header.Get("Upgrade"); !strings.EqualFold(asked, got) {
		p.answer(w, out, fmt.Errorf("an upgrade to %q where %q was asked for", got, asked))
		return
	}
	if !p.judge(w, out, answer) {
		return
	}
	client, both, err := http.NewResponseController(w).Hijack()
	if err != nil {
		p.answer(w, out, err)
		return
	}
	defer func() { _ = client.Close() }() // as above
	stop := context.AfterFunc(out.Context(), func() { _, _ = silo.Close(), client.Close() })
	defer stop()

	header := w.Header() // where a witness looks for it
	maps.Copy(header, answer.Header)
	answer.Header = header
	answer.Body = nil // it is the connection, and what is written now is the header
	if answer.Write(both) != nil || both.Flush() != nil {
		return
	}
	// The server's own reader ends the request's context at the client's end, which
	// may be half an end: it gives no more than it has.
	said := io.MultiReader(io.LimitReader(both, int64(both.Reader.Buffered())), client)
	ends := make(chan error, 2)
	go func() { ends <- pour(silo, said) }() // ended below, by the end of a connection
	go func() { ends <- pour(client, silo) }()
	for range 2 {
		if err := <-ends; err != nil {
			_, _ = silo.Close(), client.Close() // one has failed: the other is of no use
		}
	}
}

// pour copies one direction, and ends it where its source has: the other may go on.
func pour(to io.Writer, from io.Reader) error {
	buffer := copyBuffers.get()
	defer copyBuffers.put(buffer)
	// Without the shortcuts of io.Copy, which read into buffers of their own.
	_, err := io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{from}, buffer[:])
	if half, ok := to.(halfCloser); ok && err == nil {
		return half.CloseWrite()
	}
	if err == nil {
		err = io.EOF // an end that cannot be passed on is the end of both
	}
	return err
}
