package route

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/net/idna"
)

// HostError is why NormalizeHost refused an authority; the answer is 400. The set is
// closed.
type HostError string

func (e HostError) Error() string { return string(e) }

// The refusals of NormalizeHost.
const (
	ErrHostEmpty   HostError = "the host is empty"
	ErrHostByte    HostError = "the host contains a byte that is not allowed"
	ErrHostLabel   HostError = "the host contains an empty or overlong label"
	ErrHostTooLong HostError = "the host is longer than 253 bytes"
	ErrHostIPv6    HostError = "the host is not a valid IPv6 literal"
	ErrHostPort    HostError = "the port is not a number from 1 to 65535"
)

const (
	maxHostLen  = 253 // RFC 1035 section 2.3.4, without the root's dot
	maxLabelLen = 63
)

// NormalizeHost splits an authority without user information, as in the Host field or
// :authority, into its host in one form and its port (0 if there is none). Letters are
// lowered, one trailing dot is dropped, an IPv6 literal keeps its brackets and gets its
// canonical text (RFC 5952). Hosts on the wire are ASCII; any other byte is refused
// with a HostError, and so is user information.
//
// A host in normal form is returned as a part of authority, uncopied; any other is
// written to dst[:0]. Only an IPv6 literal allocates. dst may be authority[:0].
func NormalizeHost(dst, authority []byte) (host []byte, port int, err error) {
	if len(authority) == 0 {
		return nil, 0, ErrHostEmpty
	}
	if authority[0] == '[' {
		return normalizeIPv6(dst, authority)
	}
	host, rest := authority, []byte(nil)
	if colon := bytes.IndexByte(authority, ':'); colon >= 0 {
		host, rest = authority[:colon], authority[colon:]
	}
	if port, err = parsePort(rest); err != nil {
		return nil, 0, err
	}
	if len(host) > 1 && host[len(host)-1] == '.' {
		host = host[:len(host)-1]
	}
	switch {
	case len(host) == 0:
		return nil, 0, ErrHostEmpty
	case len(host) > maxHostLen:
		return nil, 0, ErrHostTooLong
	}
	upper, label := false, 0
	for _, c := range host {
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_':
			label++
		case 'A' <= c && c <= 'Z':
			upper = true
			label++
		case c == '.':
			if label == 0 {
				return nil, 0, ErrHostLabel
			}
			label = 0
		default:
			return nil, 0, ErrHostByte
		}
		if label > maxLabelLen {
			return nil, 0, ErrHostLabel
		}
	}
	if label == 0 {
		return nil, 0, ErrHostLabel
	}
	if !upper {
		return host, port, nil
	}
	out := dst[:0]
	for _, c := range host {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		out = append(out, c)
	}
	return out, port, nil
}

func normalizeIPv6(dst, authority []byte) ([]byte, int, error) {
	end := bytes.IndexByte(authority, ']')
	if end < 0 || end > len("[0000:0000:0000:0000:0000:0000:255.255.255.255") {
		return nil, 0, ErrHostIPv6
	}
	port, err := parsePort(authority[end+1:])
	if err != nil {
		return nil, 0, err
	}
	addr, err := netip.ParseAddr(string(authority[1:end]))
	if err != nil || !addr.Is6() || addr.Zone() != "" {
		return nil, 0, ErrHostIPv6
	}
	out := append(dst[:0], '[')
	out = addr.AppendTo(out)
	return append(out, ']'), port, nil
}

// parsePort reads ":8080". Nothing and a lone ":" are no port (RFC 3986 section 3.2.3).
func parsePort(s []byte) (int, error) {
	if len(s) == 0 {
		return 0, nil
	}
	if s[0] != ':' || len(s) > len(":65535") {
		return 0, ErrHostPort
	}
	if len(s) == 1 {
		return 0, nil
	}
	port := 0
	for _, c := range s[1:] {
		if c < '0' || '9' < c {
			return 0, ErrHostPort
		}
		port = port*10 + int(c-'0')
	}
	if port < 1 || port > 65535 {
		return 0, ErrHostPort
	}
	return port, nil
}

// ParseHostPattern gives a configured host its normal form: "*", "*.example.com" or a
// host without port as NormalizeHost would give it. International names become A-labels
// (RFC 5891), which is what is seen on the wire.
func ParseHostPattern(pattern string) (string, error) {
	if pattern == "*" {
		return pattern, nil
	}
	name, wildcard := strings.CutPrefix(pattern, "*.")
	if strings.Contains(name, "*") {
		return "", fmt.Errorf("%q: a wildcard is one whole first label, as in \"*.example.com\"", pattern)
	}
	if !isASCII(name) {
		ascii, err := idna.Lookup.ToASCII(name)
		if err != nil {
			return "", fmt.Errorf("%q is not an international host name: %w", pattern, err)
		}
		name = ascii
	}
	host, port, err := NormalizeHost(nil, []byte(name))
	switch {
	case err != nil:
		return "", fmt.Errorf("%q: %w", pattern, err)
	case port != 0 || strings.HasSuffix(name, ":"):
		return "", fmt.Errorf("%q: a route's host has no port", pattern)
	case wildcard && host[0] == '[':
		return "", fmt.Errorf("%q: an address has no wildcard", pattern)
	case wildcard:
		return "*." + string(host), nil
	}
	return string(host), nil
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
