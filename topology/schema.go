package topology

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// schema is a JSON Schema, draft 2020-12, as far as the file needs it.
type schema struct {
	Dialect     string             `json:"$schema,omitempty"`
	Title       string             `json:"title,omitempty"`
	Description string             `json:"description,omitempty"`
	Type        string             `json:"type,omitempty"`
	AnyOf       []schema           `json:"anyOf,omitempty"`
	Enum        []any              `json:"enum,omitempty"`
	Not         *schema            `json:"not,omitempty"`
	Pattern     string             `json:"pattern,omitempty"`
	MinLength   int                `json:"minLength,omitempty"`
	Minimum     *int               `json:"minimum,omitempty"`
	Maximum     *int               `json:"maximum,omitempty"`
	Items       *schema            `json:"items,omitempty"`
	MinItems    int                `json:"minItems,omitempty"`
	Properties  map[string]*schema `json:"properties,omitempty"`
	Names       *schema            `json:"propertyNames,omitempty"`
	MinEntries  int                `json:"minProperties,omitempty"`
	Others      any                `json:"additionalProperties,omitempty"`
	Required    []string           `json:"required,omitempty"`
	Default     any                `json:"default,omitempty"`
}

// Schema is the topology file's JSON Schema (draft 2020-12), for editors. What it
// refuses Load refuses too; that which concerns several keys at once only Load
// does.
func Schema() []byte {
	root := keys().schema()
	root.Dialect = "https://json-schema.org/draft/2020-12/schema"
	root.Title = FileName
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(root); err != nil {
		panic(fmt.Sprintf("topology: encode schema: %v", err)) // plain data always encodes
	}
	return out.Bytes()
}

func (f *field) schema() *schema {
	made := f.ofForm()
	if len(f.or) > 0 {
		made = &schema{AnyOf: []schema{*made, {Enum: f.or}}}
	}
	made.Description = f.doc
	made.Default = f.preset
	return made
}

func (f *field) ofForm() *schema {
	switch f.form {
	case formTables:
		each := field{form: formTable, fields: f.fields}
		return &schema{Type: "object", Others: each.schema(), Names: regionNames(), MinEntries: 1}
	case formStrings:
		return &schema{Type: "object", Others: &schema{Type: "string"}, Names: &schema{Type: "string", Pattern: "^[^=]+$"}}
	case formText:
		return f.ofText()
	case formList:
		each := field{form: formText, check: f.check, pattern: f.pattern, blank: f.check == nil}
		list := &schema{Type: "array", Items: each.schema()}
		if f.name == "command" {
			list.MinItems = 1
		}
		return list
	case formInteger:
		return &schema{Type: "integer", Minimum: &f.low, Maximum: &f.high}
	case formBoolean:
		return &schema{Type: "boolean"}
	case formSize:
		return &schema{AnyOf: []schema{{Type: "integer", Minimum: &f.low}, *f.ofText()}}
	default:
		return f.ofTable()
	}
}

// regionNames is the schema of a region's name.
func regionNames() *schema {
	not := &schema{}
	for _, name := range reserved() {
		not.Enum = append(not.Enum, name)
	}
	return &schema{Type: "string", Pattern: labelPattern, Not: not}
}

func (f *field) ofTable() *schema {
	table := &schema{Type: "object", Properties: map[string]*schema{}, Others: false}
	for i := range f.fields {
		known := &f.fields[i]
		table.Properties[known.name] = known.schema()
		if known.required {
			table.Required = append(table.Required, known.name)
		}
	}
	return table
}

// ofText allows what the key does, and a text with a variable, which is looked at
// only once it is expanded.
func (f *field) ofText() *schema {
	made := &schema{Type: "string"}
	if !f.blank {
		made.MinLength = 1
	}
	var either []schema
	if f.enum != nil {
		words := make([]any, len(f.enum))
		for i, word := range f.enum {
			words[i] = word
		}
		either = append(either, schema{Enum: words})
	}
	if f.pattern != "" {
		either = append(either, schema{Pattern: f.pattern})
	}
	if either == nil {
		return made
	}
	if f.blank {
		either = append(either, schema{Enum: []any{""}})
	}
	made.AnyOf = append(either, schema{Pattern: `\$\{`})
	return made
}
