package topology

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxPolicy bounds the file of a traffic policy, in bytes.
const maxPolicy = 1 << 20

// policy gives the text of a silo's traffic policy: of the file that the key
// names, or the key's own.
func (b *builder) policy(dir string, own section) string {
	n := own.get("traffic_policy")
	if n == nil || n.text == "" {
		return ""
	}
	text, named, err := policyText(dir, n.text)
	if err == nil && !isMapping(text) {
		err = errors.New("is neither YAML nor JSON of a traffic policy")
		if named {
			err = errors.New("names a file that is neither YAML nor JSON of a traffic policy")
		}
	}
	if err != nil {
		n.bad = true
		b.found.add(n.valuePlace(), n.path(), err.Error(), `name a file, or write the policy itself, such as "on_http_request: []"`)
	}
	return text
}

// policyText reads the file that text names. A text that names none is itself
// what is meant, if it can be a policy at all.
func policyText(dir, text string) (policy string, named bool, err error) {
	if strings.ContainsAny(text, "\n{\x00") {
		return text, false, nil
	}
	path := within(dir, text)
	info, err := os.Stat(path)
	switch {
	case err != nil && isMapping(text):
		return text, false, nil
	case errors.Is(err, fs.ErrNotExist):
		return "", false, errors.New("names a file that is not there: " + quote(path))
	case err != nil:
		return "", false, fmt.Errorf("names a file that cannot be read (%w)", err)
	case !info.Mode().IsRegular():
		return "", true, errors.New("names no regular file: " + quote(path))
	}
	content, err := readBounded(path, maxPolicy)
	if err != nil {
		return "", true, fmt.Errorf("names a file that cannot be read (%w)", err)
	}
	return content, true, nil
}

func readBounded(path string, most int64) (content string, err error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	data, err := io.ReadAll(io.LimitReader(file, most+1))
	if err == nil && int64(len(data)) > most {
		err = fmt.Errorf("larger than %d bytes", most)
	}
	return string(data), err
}

// isMapping tells whether a text is a JSON object or a YAML mapping. ngrok's SDK
// panics on a policy that is neither (v1.12.1, config/policy.go, WithTrafficPolicy).
func isMapping(text string) bool {
	var object map[string]any
	if json.Unmarshal([]byte(text), &object) == nil {
		return object != nil
	}
	return yaml.Unmarshal([]byte(text), &object) == nil && object != nil
}
