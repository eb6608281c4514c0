package cmd

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestAnOutletWaitsForAReader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reader, writer := io.Pipe()
		var got bytes.Buffer
		go func() {
			block := make([]byte, 3)
			for range 4 {
				time.Sleep(900 * time.Millisecond) // slow, but not stuck
				n, _ := reader.Read(block)
				got.Write(block[:n])
			}
			_ = reader.CloseWithError(errors.New("enough"))
		}()
		out := newOutlet(writer)
		began := time.Now()
		for _, text := range []string{"one", "two", "six", "ten"} {
			if n, err := io.WriteString(out, text); n != 3 || err != nil {
				t.Errorf("%d, %v", n, err)
			}
		}
		took := time.Since(began)
		synctest.Wait()
		if took != 3600*time.Millisecond || got.String() != "onetwosixten" {
			t.Errorf("%q after %v", got.String(), took)
		}
		if _, err := io.WriteString(out, "more"); err == nil {
			t.Error("a reader that has gone is not told of")
		}
	})
}

func TestAnOutletWaitsForNobodyWhoIsStuck(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reader, writer := io.Pipe()
		out := newOutlet(writer)
		began := time.Now()
		for range 1000 {
			if n, err := out.Write(make([]byte, 1000)); n != 1000 || err != nil {
				t.Fatalf("%d, %v", n, err)
			}
		}
		if took := time.Since(began); took != outletPatience {
			t.Errorf("a thousand words took %v", took)
		}
		// The reader goes on: it gets what there was room for, and all that is said next.
		got := make(chan string)
		go func() { text, _ := io.ReadAll(reader); got <- string(text) }()
		synctest.Wait()
		if _, err := io.WriteString(out, "the end"); err != nil {
			t.Error(err)
		}
		_ = writer.Close()
		if text := <-got; !strings.HasSuffix(text, "the end") || len(text) < outletMost-1000 || len(text) > outletMost+2000 {
			t.Errorf("it hears %d bytes, and at last %q", len(text), text[max(0, len(text)-10):])
		}
	})
}
