package topology_test

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// archive is a txtar file: a comment, then files, each after a "-- name --" line.
type archive struct {
	comment string
	files   []entry
}

type entry struct {
	name string
	data []byte
}

func readArchive(t *testing.T, file string) archive {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var a archive
	for line := range strings.Lines(string(data)) {
		name, marked := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "-- ")
		name, closed := strings.CutSuffix(name, " --")
		switch last := len(a.files) - 1; {
		case marked && closed:
			a.files = append(a.files, entry{name: name})
		case last < 0:
			a.comment += line
		default:
			a.files[last].data = append(a.files[last].data, line...)
		}
	}
	return a
}

// get returns a file's bytes, or nil if there is no such file.
func (a archive) get(name string) []byte {
	for _, e := range a.files {
		if e.name == name {
			return e.data
		}
	}
	return nil
}

// set replaces a file, or adds it at the end.
func (a *archive) set(name, data string) {
	for i, e := range a.files {
		if e.name == name {
			a.files[i].data = []byte(data)
			return
		}
	}
	a.files = append(a.files, entry{name, []byte(data)})
}

func (a archive) bytes() []byte {
	var out bytes.Buffer
	out.WriteString(a.comment)
	for _, e := range a.files {
		out.WriteString("-- " + e.name + " --\n")
		out.Write(e.data)
	}
	return out.Bytes()
}
