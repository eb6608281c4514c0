package topology

import (
	"fmt"
	"math"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// invalid explains why a string is not valid.
type invalid struct {
	text string // the problem
	fix  string // the string that was probably meant, if known
	hint string // what to do if fix is empty
}

var (
	labelRE  = regexp.MustCompile(labelPattern)
	hostRE   = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$`)
	numberRE = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?$`)
	sizeRE   = regexp.MustCompile(`^([0-9]+) ?([A-Za-z]*)$`)
)

// toLabel turns any text into a lower-case DNS label (RFC 1123, section 2.1), or "" if
// no character is usable.
func toLabel(text string) string {
	words := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9')
	})
	label := strings.Join(words, "-")
	return strings.Trim(label[:min(len(label), 63)], "-")
}

func checkLabel(text string) *invalid {
	if labelRE.MatchString(text) {
		return nil
	}
	wrong := &invalid{text: quote(text) + " is not a DNS label (a to z, 0 to 9 and inner hyphens, at most 63)"}
	if !strings.ContainsFunc(text, func(r rune) bool { return r > unicode.MaxASCII }) {
		wrong.fix = toLabel(text)
	}
	return wrong
}

// reservedNames are names that no region may have: those with a meaning on the
// command line, and Sentry's name for its monolith (23.3.0,
// sentry/types/region.py, MONOLITH_REGION_NAME).
func reservedNames() []string { return []string{"control", "all", "monolith", "--monolith--"} }

func checkRegionName(name string) *invalid {
	if slices.Contains(reservedNames(), name) {
		return &invalid{text: quote(name) + " is a reserved name", hint: "choose another name"}
	}
	return checkLabel(name)
}

func checkVariableName(name string) *invalid {
	if name == "" || strings.ContainsAny(name, "=\x00") {
		return &invalid{text: "is not the name of an environment variable"}
	}
	return nil
}

func checkVariableValue(value string) *invalid {
	if strings.ContainsRune(value, 0) {
		return &invalid{text: "contains a NUL character, which an environment variable cannot contain"}
	}
	return nil
}

// checkHost accepts a bare host name (RFC 1123, section 2.1; at most 253
// characters: RFC 1035, section 3.1).
func checkHost(text string) *invalid {
	host := strings.ToLower(text)
	if strings.Contains(host, "//") {
		wrong := &invalid{text: "is a URL, not a bare host name"}
		if parsed, err := url.Parse(host); err == nil && isHost(parsed.Hostname()) {
			wrong.fix = parsed.Hostname()
		}
		return wrong
	}
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return &invalid{text: quote(text) + " is an IP address, not a host name"}
	}
	if isHost(host) {
		return nil
	}
	wrong := &invalid{text: quote(text) + " is not a host name"}
	bare, _, _ := strings.Cut(host, "/")
	bare, _, _ = strings.Cut(bare, ":")
	bare = strings.Trim(strings.TrimPrefix(bare, "*."), ".")
	if isHost(bare) {
		wrong.fix = bare
	}
	return wrong
}

func isHost(host string) bool { return len(host) <= 253 && hostRE.MatchString(host) }

// checkOrigin accepts an address: a scheme, a host and an optional port. Sentry
// appends paths to it unchanged, so it must not end in a slash (22.10.0,
// sentry/types/region.py, Region.to_url).
func checkOrigin(text string) *invalid {
	parsed, err := url.Parse(text)
	if err != nil || parsed.Host == "" {
		if checkHost(text) == nil || checkHostPort(text) == nil {
			return &invalid{text: quote(text) + " has no scheme", fix: "https://" + strings.ToLower(text)}
		}
		return &invalid{text: "is not a URL", hint: `write it as "https://host" or "https://host:port"`}
	}
	bare := strings.ToLower(parsed.Scheme + "://" + strings.TrimSuffix(parsed.Host, ":"))
	wrong := &invalid{fix: bare}
	switch port := parsed.Port(); {
	case parsed.Scheme != "http" && parsed.Scheme != "https":
		return &invalid{text: "has scheme " + quote(parsed.Scheme) + ", not http or https", fix: strings.Replace(bare, parsed.Scheme, "https", 1)}
	case !isHostOrIP(parsed.Hostname()):
		return &invalid{text: quote(parsed.Hostname()) + " is not a host"}
	case port == "" && strings.HasSuffix(parsed.Host, ":"):
		wrong.text = "ends in a colon"
	case port != "" && !isPort(port):
		return &invalid{text: "port " + quote(port) + " is outside 1..65535"}
	case parsed.User != nil:
		wrong.text = "has a user, which is not allowed in an address"
	case parsed.Path == "/":
		wrong.text = "ends in a slash, but Sentry appends paths to it"
	case parsed.Path != "":
		wrong.text = "has a path, which is not allowed in an address"
	case strings.ContainsAny(text, "?#"):
		wrong.text = "has a query or a fragment, which is not allowed in an address"
	default:
		return nil
	}
	return wrong
}

func isHostOrIP(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil || isHost(strings.ToLower(host))
}

func isPort(text string) bool {
	port, err := strconv.ParseUint(text, 10, 16)
	return err == nil && port > 0
}

func checkHostPort(text string) *invalid {
	host, port, err := net.SplitHostPort(text)
	switch {
	case err != nil && isHostOrIP(text):
		return &invalid{text: "has no port", fix: net.JoinHostPort(text, "443")}
	case err != nil, !isHostOrIP(host):
		return &invalid{text: quote(text) + " is not host:port", hint: `write it as "host:port", without a scheme`}
	case !isPort(port):
		return &invalid{text: "port " + quote(port) + " is outside 1..65535"}
	}
	return nil
}

func checkHostHeader(text string) *invalid {
	words := []string{"preserve", "rewrite"}
	if slices.Contains(words, text) {
		return nil
	}
	near := nearest(text, words)
	if near == "" && (isHostOrIP(text) || checkHostPort(text) == nil) {
		return nil
	}
	return &invalid{text: quote(text) + " is not preserve, rewrite or a host", fix: near}
}

// minPassword is the shortest password that ngrok accepts for basic auth, in
// characters.
const minPassword = 8

func checkCredentials(text string) *invalid {
	user, password, _ := strings.Cut(text, ":")
	if user == "" || password == "" {
		return &invalid{text: "is not user:password"}
	}
	return nil
}

func checkCIDR(text string) *invalid {
	if _, err := netip.ParsePrefix(text); err == nil {
		return nil
	}
	wrong := &invalid{text: quote(text) + " is not a network in CIDR notation", hint: `write it as "10.0.0.0/8"`}
	if address, err := netip.ParseAddr(text); err == nil && address.Zone() == "" {
		wrong.fix = fmt.Sprintf("%s/%d", address, address.BitLen())
	}
	return wrong
}

func checkPath(text string) *invalid {
	_, err := url.ParseRequestURI(text)
	switch {
	case !strings.HasPrefix(text, "/"):
		wrong := &invalid{text: quote(text) + " does not begin with a slash"}
		if !strings.Contains(text, "://") {
			wrong.fix = "/" + text
		}
		return wrong
	case err != nil, strings.ContainsAny(text, " #"):
		return &invalid{text: quote(text) + " is not a valid request path"}
	}
	return nil
}

func checkPositiveDuration(text string) *invalid {
	if length, err := time.ParseDuration(text); err == nil && length == 0 {
		return &invalid{text: "must be more than zero"}
	}
	return checkDuration(text)
}

func checkDuration(text string) *invalid {
	length, err := time.ParseDuration(text)
	switch {
	case err != nil && numberRE.MatchString(text):
		return &invalid{text: quote(text) + " has no unit", fix: text + "s"}
	case err != nil:
		return &invalid{text: quote(text) + " is not a duration", hint: `write a number with a unit, such as "500ms", "10s" or "2m"`}
	case length < 0:
		return &invalid{text: "is negative"}
	}
	return nil
}

// parseSize reads a number of bytes with an optional unit, in any case: IEC
// 80000-13 (KiB, MiB, GiB) or SI (kB, MB, GB).
func parseSize(text string) (int64, bool) {
	parts := sizeRE.FindStringSubmatch(text)
	if parts == nil {
		return 0, false
	}
	number, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil {
		return 0, false
	}
	unit, known := map[string]int64{
		"": 1, "b": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30,
	}[strings.ToLower(parts[2])]
	if !known || number > math.MaxInt64/unit {
		return 0, false
	}
	return number * unit, true
}

func checkSize(text string) *invalid {
	bytes, ok := parseSize(text)
	switch {
	case ok && bytes < 1:
		return &invalid{text: "must be more than zero"}
	case ok:
		return nil
	}
	wrong := &invalid{text: quote(text) + " is not a size", hint: `write "64MiB", "10MB" or a number of bytes`}
	if _, ok := parseSize(text + "iB"); ok {
		wrong.fix = text + "iB"
	}
	return wrong
}

func checkSignal(text string) *invalid {
	if slices.Contains(signals(), strings.TrimPrefix(text, "SIG")) {
		return nil
	}
	return &invalid{
		text: quote(text) + " is not one of " + strings.Join(signals(), ", "),
		fix:  nearest(strings.TrimPrefix(strings.ToUpper(text), "SIG"), signals()),
	}
}
