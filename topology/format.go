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

// fault is what is wrong with a text. The zero fault is none.
type fault struct {
	text string // what is wrong
	mend string // the text that was meant, as far as it can be told
	hint string // what to do where there is no mend
}

func (f fault) none() bool { return f == fault{} }

var (
	labelShape  = regexp.MustCompile(labelPattern)
	hostShape   = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$`)
	numberShape = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?$`)
	sizeShape   = regexp.MustCompile(`^([0-9]+) ?([A-Za-z]*)$`)
)

// toLabel makes a DNS label (RFC 1123, section 2.1) of any text, lower case; ""
// where nothing of it serves.
func toLabel(text string) string {
	words := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9')
	})
	made := strings.Join(words, "-")
	return strings.Trim(made[:min(len(made), 63)], "-")
}

func label(text string) fault {
	if labelShape.MatchString(text) {
		return fault{}
	}
	f := fault{text: quote(text) + " is not a DNS label (a to z, 0 to 9 and inner hyphens, at most 63)"}
	if !strings.ContainsFunc(text, func(r rune) bool { return r > unicode.MaxASCII }) {
		f.mend = toLabel(text)
	}
	return f
}

// reserved are the names that no region may have: those that the command line
// has a meaning for, and the one that Sentry gives its monolith (23.3.0,
// sentry/types/region.py, MONOLITH_REGION_NAME).
func reserved() []string { return []string{"control", "all", "monolith", "--monolith--"} }

func regionName(name string) fault {
	if slices.Contains(reserved(), name) {
		return fault{text: quote(name) + " is not free to name a region", hint: "take another name"}
	}
	return label(name)
}

func variableName(name string) fault {
	if name == "" || strings.ContainsAny(name, "=\x00") {
		return fault{text: "is not the name of an environment variable"}
	}
	return fault{}
}

func variableValue(value string) fault {
	if strings.ContainsRune(value, 0) {
		return fault{text: "has a NUL character, which no environment variable can hold"}
	}
	return fault{}
}

// hostFault tells what keeps a text from being a bare host name (RFC 1123,
// section 2.1; 253 characters: RFC 1035, section 3.1).
func hostFault(text string) fault {
	host := strings.ToLower(text)
	if strings.Contains(host, "//") {
		f := fault{text: "is a URL, not a bare host name"}
		if parsed, err := url.Parse(host); err == nil && isHost(parsed.Hostname()) {
			f.mend = parsed.Hostname()
		}
		return f
	}
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return fault{text: quote(text) + " is an IP address, not a host name"}
	}
	if isHost(host) {
		return fault{}
	}
	f := fault{text: quote(text) + " is not a host name"}
	bare, _, _ := strings.Cut(host, "/")
	bare, _, _ = strings.Cut(bare, ":")
	bare = strings.Trim(strings.TrimPrefix(bare, "*."), ".")
	if isHost(bare) {
		f.mend = bare
	}
	return f
}

func isHost(host string) bool { return len(host) <= 253 && hostShape.MatchString(host) }

// originFault tells what keeps a text from being an address: a scheme, a host and
// perhaps a port. Sentry appends paths to it as it stands, so that it must not end
// in a slash (22.10.0, sentry/types/region.py, Region.to_url).
func originFault(text string) fault {
	parsed, err := url.Parse(text)
	if err != nil || parsed.Host == "" {
		if hostFault(text).none() || hostPortFault(text).none() {
			return fault{text: quote(text) + " has no scheme", mend: "https://" + strings.ToLower(text)}
		}
		return fault{text: "is not a URL", hint: `write it as "https://host" or "https://host:port"`}
	}
	bare := origin(parsed)
	f := fault{mend: bare}
	switch port := parsed.Port(); {
	case parsed.Scheme != "http" && parsed.Scheme != "https":
		return fault{text: "has scheme " + quote(parsed.Scheme) + ", not http or https", mend: strings.Replace(bare, parsed.Scheme, "https", 1)}
	case !isHostOrAddress(parsed.Hostname()):
		return fault{text: quote(parsed.Hostname()) + " is not a host"}
	case port == "" && strings.HasSuffix(parsed.Host, ":"):
		f.text = "ends in a colon"
	case port != "" && !isPort(port):
		return fault{text: "port " + quote(port) + " is outside 1..65535"}
	case parsed.User != nil:
		f.text = "has a user, which an address must not"
	case parsed.Path == "/":
		f.text = "ends in a slash, to which Sentry would append paths"
	case parsed.Path != "":
		f.text = "has a path, which an address must not"
	case strings.ContainsAny(text, "?#"):
		f.text = "has a query or a fragment, which an address must not"
	default:
		return fault{}
	}
	return f
}

// origin is a URL's scheme, host and port, in lower case.
func origin(u *url.URL) string {
	return strings.ToLower(u.Scheme + "://" + strings.TrimSuffix(u.Host, ":"))
}

func isHostOrAddress(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil || isHost(strings.ToLower(host))
}

func isPort(text string) bool {
	port, err := strconv.ParseUint(text, 10, 16)
	return err == nil && port > 0
}

func hostPortFault(text string) fault {
	host, port, err := net.SplitHostPort(text)
	switch {
	case err != nil && isHostOrAddress(text):
		return fault{text: "has no port", mend: net.JoinHostPort(text, "443")}
	case err != nil, !isHostOrAddress(host):
		return fault{text: quote(text) + " is not host:port", hint: `write it as "host:port", without a scheme`}
	case !isPort(port):
		return fault{text: "port " + quote(port) + " is outside 1..65535"}
	}
	return fault{}
}

func hostHeaderFault(text string) fault {
	words := []string{"preserve", "rewrite"}
	if slices.Contains(words, text) {
		return fault{}
	}
	f := fault{text: quote(text) + " is not preserve, rewrite or a host", mend: nearest(text, words)}
	if f.mend != "" {
		return f
	}
	host := text
	if bare, port, err := net.SplitHostPort(text); err == nil && isPort(port) {
		host = bare
	}
	if isHostOrAddress(host) {
		return fault{}
	}
	return f
}

// minPassword is what ngrok asks of a basic auth password, in characters.
const minPassword = 8

func credentialsFault(text string) fault {
	user, password, found := strings.Cut(text, ":")
	if !found || user == "" || password == "" {
		return fault{text: "is not user:password"}
	}
	return fault{}
}

func cidrFault(text string) fault {
	if _, err := netip.ParsePrefix(text); err == nil {
		return fault{}
	}
	f := fault{text: quote(text) + " is not a network in CIDR notation", hint: `write it as "10.0.0.0/8"`}
	if address, err := netip.ParseAddr(text); err == nil && address.Zone() == "" {
		f.mend = fmt.Sprintf("%s/%d", address, address.BitLen())
	}
	return f
}

func pathFault(text string) fault {
	_, err := url.ParseRequestURI(text)
	switch {
	case !strings.HasPrefix(text, "/"):
		f := fault{text: quote(text) + " does not begin with a slash"}
		if !strings.Contains(text, "://") {
			f.mend = "/" + text
		}
		return f
	case err != nil, strings.ContainsAny(text, " #"):
		return fault{text: quote(text) + " is not a path that can be asked for"}
	}
	return fault{}
}

func durationFault(text string) fault {
	f := graceFault(text)
	if length, err := time.ParseDuration(text); err == nil && length == 0 {
		return fault{text: "is zero; it must be more"}
	}
	return f
}

func graceFault(text string) fault {
	length, err := time.ParseDuration(text)
	switch {
	case err != nil && numberShape.MatchString(text):
		return fault{text: quote(text) + " has no unit", mend: text + "s"}
	case err != nil:
		return fault{text: quote(text) + " is not a duration", hint: `write a number with a unit, such as "500ms", "10s" or "2m"`}
	case length < 0:
		return fault{text: "is negative"}
	}
	return fault{}
}

// size reads a number of bytes, with a unit or without. Units are those of IEC
// 80000-13 (KiB, MiB, GiB) and of the SI (kB, MB, GB), in any case.
func size(text string) (int64, bool) {
	found := sizeShape.FindStringSubmatch(text)
	if found == nil {
		return 0, false
	}
	number, err := strconv.ParseInt(found[1], 10, 64)
	if err != nil {
		return 0, false
	}
	unit, known := map[string]int64{
		"": 1, "b": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30,
	}[strings.ToLower(found[2])]
	if !known || number > math.MaxInt64/unit {
		return 0, false
	}
	return number * unit, true
}

func sizeFault(text string) fault {
	bytes, ok := size(text)
	switch {
	case ok && bytes < 1:
		return fault{text: "is zero; it must be more"}
	case ok:
		return fault{}
	}
	f := fault{text: quote(text) + " is not a size", hint: `write "64MiB", "10MB" or a number of bytes`}
	if _, short := size(text + "iB"); short {
		f.mend = text + "iB"
	}
	return f
}

// short writes a duration without the zeros that it ends in: 1m, not 1m0s.
func short(length time.Duration) string {
	text := length.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

func signalFault(text string) fault {
	if slices.Contains(signals(), strings.TrimPrefix(text, "SIG")) {
		return fault{}
	}
	return fault{
		text: quote(text) + " is not one of " + strings.Join(signals(), ", "),
		mend: nearest(strings.TrimPrefix(strings.ToUpper(text), "SIG"), signals()),
	}
}
