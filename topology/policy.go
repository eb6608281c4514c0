package topology

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"

	"silo/files"
)

// maxPolicy bounds the file of a traffic policy, in bytes.
const maxPolicy = 1 << 20

// policy returns the text of a silo's traffic policy: the content of the file that
// n names, or n itself.
func (b *builder) policy(dir string, n *node) string {
	if n.text() == "" {
		return ""
	}
	text, err := readPolicy(dir, n.text())
	if err != nil {
		n.invalid = true
		b.found.add(n.at, n.path, err.Error(), `name a file, or write the policy itself, such as "on_http_request: []"`)
	}
	return text
}

// readPolicy reads the file that text names. Text that does not name a file is the
// policy itself.
func readPolicy(dir, text string) (policy string, err error) {
	path := within(dir, text)
	info, err := files.Within(path, func() (fs.FileInfo, error) { return os.Stat(path) })
	switch isText := strings.ContainsAny(text, "\n{\x00"); {
	case isText && !isMapping(text):
		return "", errors.New("is not a traffic policy in YAML or JSON")
	case isText, err != nil && isMapping(text):
		return text, nil
	case errors.Is(err, fs.ErrNotExist):
		return "", errors.New("names a file that does not exist: " + quote(path))
	case err != nil:
		return "", fmt.Errorf("names a file that cannot be read (%w)", err)
	case !info.Mode().IsRegular():
		return "", errors.New("does not name a regular file: " + quote(path))
	}
	content, err := files.ReadUpTo(path, maxPolicy+1)
	switch {
	case err == nil && len(content) > maxPolicy:
		err = fmt.Errorf("names a file larger than %d bytes", maxPolicy)
	case err == nil && !isMapping(string(content)):
		err = errors.New("names a file that is not a traffic policy in YAML or JSON")
	case err != nil:
		err = fmt.Errorf("names a file that cannot be read (%w)", err)
	}
	return string(content), err
}

// isMapping reports whether a text is a JSON object or a YAML mapping that is not
// empty. ngrok's SDK panics on other policies (v1.12.1, config/policy.go,
// WithTrafficPolicy).
func isMapping(text string) bool {
	var object map[string]any
	err := json.Unmarshal([]byte(text), &object)
	if err != nil {
		err = yaml.Unmarshal([]byte(text), &object)
	}
	return err == nil && len(object) > 0
}
