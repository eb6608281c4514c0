package sentry

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/template"

	"silo/templates"
)

// Region is one region as the region config tells of it.
type Region struct {
	Name     string
	ID       int
	URL      string // what silos call it by; no trailing slash: Sentry appends paths to it as they are
	Public   string // what browsers call it by; empty: URL
	Category string // MULTI_TENANT or SINGLE_TENANT
}

// Config is all that a region config is made of.
type Config struct {
	Instance      string // the instance's name
	File          string // the topology file; its base name stands in the marker
	Dialect       Dialect
	ControlURL    string // what silos call control by
	ControlPublic string // what browsers call it by; empty: ControlURL
	Regions       []Region
	// Workers says that a silo's devserver runs workers: what these need is
	// written, and takes effect in each silo that has SILO_WORKERS set.
	Workers bool
	// PerSilo says that each silo has a database of its own.
	PerSilo bool
}

// Block is a rendered region config.
type Block struct {
	Instance string
	file     string
	text     string
}

// Text is the lines between the markers, each with its newline.
func (b Block) Text() string { return b.text }

// Marked is Text between its marker lines, as it stands in a file that ends its
// lines with a line feed.
func (b Block) Marked() string {
	return b.begin() + "\n" + b.text + endMarker + "\n"
}

// begin is the first marker line. Both names are quoted, so that neither can end
// the line.
func (b Block) begin() string {
	file := strconv.QuoteToASCII(b.file)
	return beginMarker + strconv.QuoteToASCII(b.Instance) + " (" + file[1:len(file)-1] + ")" + beginRest
}

// guardTemplate defines the parts that the region configs of all dialects share.
const guardTemplate = "region/guard.py.tmpl"

// pythonFuncs are the functions that region config templates call.
var pythonFuncs = template.FuncMap{"py": pyString, "pys": pyStrings}

// Render writes the region config of c.Dialect. Every string arrives in Python
// as it is, whatever it holds.
func Render(c Config) (Block, error) {
	if len(c.Regions) == 0 {
		return Block{}, errors.New("render region config: no region")
	}
	for _, r := range c.Regions {
		if !slices.Contains([]string{"MULTI_TENANT", "SINGLE_TENANT"}, r.Category) {
			return Block{}, fmt.Errorf("render region config: region %q: unknown category %q", r.Name, r.Category)
		}
	}
	file := c.Dialect.Template + ".py.tmpl"
	text, err := templates.Execute(file, pythonFuncs, struct {
		Config
		public
		LocalCell  bool
		BeatSuffix string
	}{c, c.public(), slices.Contains(c.Dialect.RegionVars, localCell), c.beatSuffix()}, "region/"+file, guardTemplate)
	if err != nil {
		return Block{}, err
	}
	return Block{Instance: c.Instance, file: filepath.Base(c.File), text: text}, nil
}

// beatSuffix keeps celery beat's schedules of two instances apart, also of two
// with one name.
func (c Config) beatSuffix() string {
	sum := sha256.Sum256([]byte(c.File))
	plain := strings.Map(func(r rune) rune {
		if r == '/' || r < ' ' {
			return '_' // it becomes part of a file's name
		}
		return r
	}, c.Instance)
	return "-" + plain + "-" + hex.EncodeToString(sum[:4]) + "-"
}
