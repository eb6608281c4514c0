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

// Region is one region of the region config.
type Region struct {
	Name     string
	ID       int
	URL      string // the address for silos, without a trailing slash, because Sentry appends paths
	Public   string // the address for browsers; empty: URL
	Category string // MULTI_TENANT or SINGLE_TENANT
}

// Config is the input of Render.
type Config struct {
	Instance      string // the name of the instance
	File          string // the topology file; its base name is in the marker
	Dialect       Dialect
	ControlURL    string // the address for silos
	ControlPublic string // the address for browsers; empty: ControlURL
	Regions       []Region
	// Workers adds the settings for Celery workers. They take effect in each silo with
	// the variable SILO_WORKERS.
	Workers bool
	// PerSilo gives each silo its own database.
	PerSilo bool
}

// Block is a rendered region config.
type Block struct {
	Instance string
	file     string
	text     string
}

// Text returns the lines between the markers, each with its newline.
func (b Block) Text() string { return b.text }

// Marked returns Text between its marker lines, with line feeds.
func (b Block) Marked() string {
	return b.begin() + "\n" + b.text + endMarker + "\n"
}

// begin is the first marker line. Both names are quoted, because a quoted name cannot contain a
// newline.
func (b Block) begin() string {
	file := strconv.QuoteToASCII(b.file)
	return beginMarker + strconv.QuoteToASCII(b.Instance) + " (" + file[1:len(file)-1] + ")" + beginRest
}

// guardTemplate defines the parts that the region configs of all dialects share.
const guardTemplate = "region/guard.py.tmpl"

// pythonFuncs are the functions that region config templates call.
var pythonFuncs = template.FuncMap{"py": pyString, "pys": pyStrings}

// Render renders the region config of c.Dialect. Any string is safe: it is written
// as a Python literal.
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
		LocalCell   bool
		BeatSuffix  string
		MonolithURL string
	}{c, c.public(), slices.Contains(c.Dialect.RegionVars, localCell), c.beatSuffix(), c.publicURLs()[0]}, "region/"+file, guardTemplate)
	if err != nil {
		return Block{}, err
	}
	return Block{Instance: c.Instance, file: filepath.Base(c.File), text: text}, nil
}

// beatSuffix makes the file name of celery beat's schedule unique to the instance, even
// among instances of the same name.
func (c Config) beatSuffix() string {
	sum := sha256.Sum256([]byte(c.File))
	plain := strings.Map(func(r rune) rune {
		if r == '/' || r < ' ' {
			return '_' // not allowed in a file name
		}
		return r
	}, c.Instance)
	return "-" + plain + "-" + hex.EncodeToString(sum[:4]) + "-"
}
