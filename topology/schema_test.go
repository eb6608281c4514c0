package topology_test

import (
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/pelletier/go-toml/v2"

	"silo/topology"
)

const schemaFile = "../silo.schema.json"

func TestSchemaFile(t *testing.T) {
	t.Parallel()
	if *update {
		if err := os.WriteFile(schemaFile, topology.Schema(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	written, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(written), string(topology.Schema())); diff != "" {
		t.Errorf("%s is out of step, run go test ./topology -update\n%s", schemaFile, diff)
	}
}

// TestSchemaAgrees checks that the schema accepts every valid archive, and rejects the
// others unless the reason is one that a schema cannot express.
func TestSchemaAgrees(t *testing.T) {
	t.Parallel()
	var schema map[string]any
	if err := json.Unmarshal(topology.Schema(), &schema); err != nil {
		t.Fatal(err)
	}
	// Invalid because of several keys or the environment, or too complex for a pattern.
	beyond := regexp.MustCompile(`^(toml-|backoff|id-duplicate|port-duplicate|port-pairs|domain-duplicate|domain-too-long|url-duplicate|` +
		`external-|password-short|home-missing|variables|watchers-contradicted|policy|dialect-|logs|server-addr-url)`)
	archives, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range archives {
		name := strings.TrimSuffix(filepath.Base(file), ".txtar")
		a := readArchive(t, file)
		if a.get(topology.LocalFileName) != nil {
			continue // a topology only if merged
		}
		var document map[string]any
		if err := toml.Unmarshal([]byte(strings.TrimPrefix(string(a.get(topology.FileName)), "\uFEFF")), &document); err != nil {
			continue
		}
		complaint := complain(t, schema, document, "")
		valid := strings.HasPrefix(name, "valid-") || strings.HasPrefix(name, "warn-")
		switch {
		case valid && complaint != "":
			t.Errorf("%s: the schema refuses it: %s", name, complaint)
		case !valid && complaint == "" && !beyond.MatchString(name):
			t.Errorf("%s: the schema accepts it", name)
		}
	}
}

// complain returns why a schema rejects a value, or "". It fails the test for keywords
// that Schema does not use.
func complain(t *testing.T, schema map[string]any, value any, at string) string {
	t.Helper()
	for keyword, rule := range schema {
		if complaint := complainOf(t, schema, keyword, rule, value, at); complaint != "" {
			return complaint
		}
	}
	return ""
}

func complainOf(t *testing.T, schema map[string]any, keyword string, rule, value any, at string) string {
	t.Helper()
	no := fmt.Sprintf("%s: %v against %s %v", at, value, keyword, rule)
	ok := true
	object, isObject := value.(map[string]any)
	array, isArray := value.([]any)
	text, isText := value.(string)
	switch keyword {
	case "$schema", "title", "description", "default":
	case "not":
		ok = complain(t, rule.(map[string]any), value, at) != "" //nolint:errcheck // a schema of our own; a panic is as good
	case "type":
		ok = rule == typeOf(value)
	case "enum":
		ok = slices.Contains(rule.([]any), value) //nolint:errcheck // a schema of our own; a panic is as good
	case "pattern":
		ok = !isText || regexp.MustCompile(rule.(string)).MatchString(text) //nolint:errcheck // as above
	case "minLength":
		ok = !isText || float64(utf8.RuneCountInString(text)) >= rule.(float64) //nolint:errcheck // as above
	case "minimum", "maximum":
		ok = within(keyword, rule, value)
	case "minItems":
		ok = !isArray || float64(len(array)) >= rule.(float64) //nolint:errcheck // as above
	case "minProperties":
		ok = !isObject || float64(len(object)) >= rule.(float64) //nolint:errcheck // as above
	case "required":
		for _, name := range rule.([]any) { //nolint:errcheck // as above
			_, has := object[name.(string)] //nolint:errcheck // as above
			ok = ok && (has || !isObject)
		}
	default:
		return complainWithin(t, schema, keyword, rule, value, at)
	}
	if ok {
		return ""
	}
	return no
}

// complainWithin applies the keywords that contain schemas.
func complainWithin(t *testing.T, schema map[string]any, keyword string, rule, value any, at string) string {
	t.Helper()
	object, _ := value.(map[string]any)
	properties, _ := schema["properties"].(map[string]any)
	inner, isSchema := rule.(map[string]any)
	switch keyword {
	case "items":
		array, _ := value.([]any)
		for i, item := range array {
			if complaint := complain(t, inner, item, fmt.Sprintf("%s[%d]", at, i)); complaint != "" {
				return complaint
			}
		}
	case "anyOf":
		var complaints []string
		for _, choice := range rule.([]any) { //nolint:errcheck // a schema of our own; a panic is as good
			complaint := complain(t, choice.(map[string]any), value, at) //nolint:errcheck // as above
			if complaint == "" {
				return ""
			}
			complaints = append(complaints, complaint)
		}
		return strings.Join(complaints, "; ")
	case "properties", "additionalProperties", "propertyNames":
		for name, child := range object {
			known, has := properties[name].(map[string]any)
			complaint := ""
			switch {
			case keyword == "propertyNames":
				complaint = complain(t, inner, name, at)
			case keyword == "properties" && has:
				complaint = complain(t, known, child, at+"."+name)
			case keyword == "additionalProperties" && !has && isSchema:
				complaint = complain(t, inner, child, at+"."+name)
			case keyword == "additionalProperties" && !has:
				complaint = at + "." + name + " is unknown"
			}
			if complaint != "" {
				return complaint
			}
		}
	default:
		t.Fatalf("the schema uses %s, which this test does not support", keyword)
	}
	return ""
}

func typeOf(value any) string {
	switch value.(type) {
	case map[string]any:
		return "object"
	case []any:
		return "array"
	case string:
		return "string"
	case bool:
		return "boolean"
	case int64:
		return "integer"
	default:
		return fmt.Sprintf("%T", value)
	}
}

func within(keyword string, rule, value any) bool {
	number, isNumber := value.(int64)
	bound, isBound := rule.(float64)
	if !isNumber || !isBound {
		return !isNumber
	}
	order := new(big.Float).SetInt64(number).Cmp(big.NewFloat(bound))
	return order == 0 || (keyword == "minimum") == (order > 0)
}
