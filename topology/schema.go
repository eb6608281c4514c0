package topology

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// schema is the subset of JSON Schema (draft 2020-12) that the file needs.
type schema struct {
	Dialect     string             `json:"$schema,omitempty"`
	Title       string             `json:"title,omitempty"`
	Description string             `json:"description,omitempty"`
	Type        string             `json:"type,omitempty"`
	AnyOf       []schema           `json:"anyOf,omitempty"`
	Enum        any                `json:"enum,omitempty"` // a slice
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

// Schema returns the JSON Schema (draft 2020-12) of the topology file, for editors.
// Load rejects everything that the schema rejects, and also checks rules across keys.
func Schema() []byte {
	root := keys().schema()
	root.Dialect = "https://json-schema.org/draft/2020-12/schema"
	root.Title = FileName
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(root); err != nil {
		panic(fmt.Sprintf("topology: encode schema: %v", err)) // plain data can always be encoded
	}
	return out.Bytes()
}

func (f *field) schema() *schema {
	s := f.typeSchema()
	if len(f.alternatives) > 0 {
		s = &schema{AnyOf: []schema{*s, {Enum: f.alternatives}}}
	}
	s.Description = f.doc
	s.Default = f.preset
	return s
}

func (f *field) typeSchema() *schema {
	switch f.kind {
	case kindNamedTables:
		each := field{kind: kindTable, fields: f.fields}
		names := &schema{Type: "string", Pattern: labelPattern, Not: &schema{Enum: reservedNames()}}
		return &schema{Type: "object", Others: each.schema(), Names: names, MinEntries: 1}
	case kindStringMap:
		return &schema{Type: "object", Others: &schema{Type: "string"}, Names: &schema{Type: "string", Pattern: "^[^=]+$"}}
	case kindString:
		return f.stringSchema()
	case kindList:
		each := field{kind: kindString, check: f.check, pattern: f.pattern, allowEmpty: f.check == nil}
		list := &schema{Type: "array", Items: each.schema()}
		if f.name == "command" {
			list.MinItems = 1
		}
		return list
	case kindInteger:
		return &schema{Type: "integer", Minimum: &f.min, Maximum: &f.max}
	case kindBoolean:
		return &schema{Type: "boolean"}
	case kindSize:
		return &schema{AnyOf: []schema{{Type: "integer", Minimum: &f.min}, *f.stringSchema()}}
	default:
		return f.tableSchema()
	}
}

func (f *field) tableSchema() *schema {
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

// stringSchema accepts the valid strings, and any string with a variable, since its
// value is not known yet.
func (f *field) stringSchema() *schema {
	s := &schema{Type: "string"}
	if !f.allowEmpty {
		s.MinLength = 1
	}
	var either []schema
	if f.enum != nil {
		either = append(either, schema{Enum: f.enum})
	}
	if f.pattern != "" {
		either = append(either, schema{Pattern: f.pattern})
	}
	if either == nil {
		return s
	}
	if f.allowEmpty {
		either = append(either, schema{Enum: []string{""}})
	}
	s.AnyOf = append(either, schema{Pattern: `\$\{`})
	return s
}
