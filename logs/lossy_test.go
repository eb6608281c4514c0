package logs

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"silo/wait/waittest"
)

func TestLossyWriterWaitsForASlowReader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reader, writer := io.Pipe()
		var got bytes.Buffer
		go func() {
			block := make([]byte, 3)
			for range 4 {
				time.Sleep(900 * time.Millisecond) // slow, but not stalled
				n, _ := reader.Read(block)
				got.Write(block[:n])
			}
			_ = reader.CloseWithError(errors.New("enough"))
		}()
		out := NewLossyWriter(writer)
		began := time.Now()
		for _, text := range []string{"one", "two", "six", "ten"} {
			if n, err := io.WriteString(out, text); n != 3 || err != nil {
				t.Errorf("Write = %d, %v; want 3 and no error", n, err)
			}
		}
		took := time.Since(began)
		synctest.Wait()
		if took != 3600*time.Millisecond || got.String() != "onetwosixten" {
			t.Errorf("the reader got %q after %v, want all after 3.6 s", got.String(), took)
		}
		if _, err := io.WriteString(out, "more"); err == nil {
			t.Error("Write to a closed pipe returns no error")
		}
		if n, err := io.WriteString(out, "more"); n != 0 || err == nil {
			t.Errorf("Write after an error = %d, %v; want 0 and the error", n, err)
		}
	})
}

func TestLossyWriterDoesNotWaitForAStalledReader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reader, writer := io.Pipe()
		out := NewLossyWriter(writer)
		began := time.Now()
		for range 1000 {
			if n, err := out.Write(make([]byte, 1000)); n != 1000 || err != nil {
				t.Fatalf("Write = %d, %v; want 1000 and no error", n, err)
			}
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("1000 writes took %v, want 1 s", took)
		}
		// Once the reader continues, it gets what was buffered and what is written next.
		received := make(chan string)
		go func() { text, _ := io.ReadAll(reader); received <- string(text) }()
		synctest.Wait()
		if _, err := io.WriteString(out, "the end"); err != nil {
			t.Error(err)
		}
		_ = writer.Close()
		text := waittest.Receive(t, received, "the text that was kept")
		if !strings.HasSuffix(text, "the end") || len(text) < maxPending-1000 || len(text) > maxPending+2000 {
			t.Errorf("the reader got %d bytes that end in %q", len(text), text[max(0, len(text)-10):])
		}
		if strings.Contains(text, "silo:") {
			t.Error("there is a notice about dropped lines")
		}
	})
}
