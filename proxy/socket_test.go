package proxy

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

// newSockets are the two ends of a connection.
func newSockets(t *testing.T) (near, far *socket) {
	t.Helper()
	listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	dialed, err := net.DialTCP("tcp", nil, listener.Addr().(*net.TCPAddr)) //nolint:errcheck,forcetypeassert // of a TCPListener
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := listener.AcceptTCP()
	if err != nil {
		t.Fatal(err)
	}
	near, far = newSocket(dialed), newSocket(accepted)
	t.Cleanup(func() { _, _ = near.Close(), far.Close() }) // some tests have closed one
	return near, far
}

// More than the kernel holds goes through whole, to a reader that takes its time, and
// ends as it does for any connection.
func TestASocketPassesEveryByte(t *testing.T) {
	t.Parallel()
	near, far := newSockets(t)
	want := make([]byte, 16<<20)
	for i := range want {
		want[i] = byte(rand.IntN(256))
	}
	sent := make(chan error, 1)
	go func() {
		n, err := near.Write(want)
		if err == nil && n != len(want) {
			err = io.ErrShortWrite
		}
		sent <- errors.Join(err, near.CloseWrite())
	}()
	var got bytes.Buffer
	for {
		part := make([]byte, 1+rand.IntN(300_000))
		n, err := far.Read(part)
		got.Write(part[:n])
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("%d bytes came, of %d, or others", got.Len(), len(want))
	}
}

func TestASocketEndsItsWaits(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		end  func(near, far *socket)
		want error
	}{
		"deadline": {func(near, _ *socket) { _ = near.SetReadDeadline(time.Unix(1, 0)) }, os.ErrDeadlineExceeded},
		"closed":   {func(near, _ *socket) { _ = near.Close() }, net.ErrClosed},
		"end":      {func(_, far *socket) { _ = far.CloseWrite() }, io.EOF},
		"reset":    {func(_, far *socket) { _, _ = far.SetLinger(0), far.Close() }, syscall.ECONNRESET},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			near, far := newSockets(t)
			go c.end(near, far)
			if n, err := near.Read(make([]byte, 1)); n != 0 || !errors.Is(err, c.want) {
				t.Errorf("%d bytes and %v, where %v belongs", n, err, c.want)
			}
		})
	}
	t.Run("full", func(t *testing.T) {
		t.Parallel()
		near, _ := newSockets(t)
		much := make([]byte, 64<<20)
		late := time.AfterFunc(100*time.Millisecond, func() { _ = near.SetWriteDeadline(time.Unix(1, 0)) })
		defer late.Stop()
		if n, err := near.Write(much); n == 0 || n == 64<<20 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%d bytes and %v", n, err)
		}
	})
}

func TestASocketIsQuietUntilSomethingComes(t *testing.T) {
	t.Parallel()
	for name, come := range map[string]func(far *socket) error{
		"bytes": func(far *socket) error { _, err := far.Write([]byte("x")); return err },
		"end":   func(far *socket) error { return far.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			near, far := newSockets(t)
			for range 2 { // to ask takes nothing away
				if !near.quiet() {
					t.Fatal("nothing has come")
				}
			}
			if err := come(far); err != nil {
				t.Fatal(err)
			}
			for deadline := time.Now().Add(5 * time.Second); near.quiet(); time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatal("it is still quiet")
				}
			}
		})
	}
}
