package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A reader of HTTP/1 messages that knows no mercy. It judges what arrives on both
// sides, so it shares nothing with the reader of the product: it is slow, short and
// written from RFC 9112 alone.

// errMore says that the message has not ended yet.
var errMore = errors.New("incomplete")

// message is one request or response that was read.
type message struct {
	start    [3]string // method target version, or version status reason
	fields   [][2]string
	body     string
	trailers [][2]string
	head     string // raw, with the empty line
	raw      string
	chunked  bool
	length   int // announced; -1: not
	byClose  bool
}

func (m *message) get(name string) (values []string) {
	for _, f := range m.fields {
		if strings.EqualFold(f[0], name) {
			values = append(values, f[1])
		}
	}
	return values
}

func (m *message) status() int { n, _ := strconv.Atoi(m.start[1]); return n }

var (
	requestLine = regexp.MustCompile("^([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([!-~]+) (HTTP/1\\.[01])$")
	statusLine  = regexp.MustCompile("^(HTTP/1\\.[01]) ([1-5][0-9][0-9])(?: ([\\t -~\\x80-\\xff]*))?$")
	fieldLine   = regexp.MustCompile("^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \\t]*([\\t -~\\x80-\\xff]*?)[ \\t]*$")
	sizeLine    = regexp.MustCompile("^([0-9A-Fa-f]{1,15})(?:[ \\t]*;[\\t -~\\x80-\\xff]*)?$")
	digits      = regexp.MustCompile(`^[0-9]{1,18}$`)
)

// strictLine cuts a line that ends in CRLF.
func strictLine(b []byte) (line, rest []byte, err error) {
	i := bytes.IndexByte(b, '\n')
	if i < 0 {
		return nil, b, errMore
	}
	if i == 0 || b[i-1] != '\r' {
		return nil, b, fmt.Errorf("bare LF after %q", b[:i])
	}
	return b[:i-1], b[i+1:], nil
}

// strictFields reads field lines up to the empty one.
func strictFields(b []byte) (fields [][2]string, rest []byte, err error) {
	for {
		line, next, err := strictLine(b)
		if err != nil {
			return nil, b, err
		}
		if b = next; len(line) == 0 {
			return fields, b, nil
		}
		m := latin1(fieldLine, line)
		if m == nil {
			return nil, b, fmt.Errorf("field line %q", line)
		}
		fields = append(fields, [2]string{m[1], m[2]})
	}
}

// latin1 matches bytes as such: package regexp would read them as UTF-8.
func latin1(re *regexp.Regexp, b []byte) []string {
	wide := make([]rune, len(b))
	for i, c := range b {
		wide[i] = rune(c)
	}
	m := re.FindStringSubmatch(string(wide))
	for i, s := range m {
		narrow := make([]byte, 0, len(s))
		for _, r := range s {
			narrow = append(narrow, byte(r))
		}
		m[i] = string(narrow)
	}
	return m
}

// strictHead reads a start line and fields, and what they say about framing.
func strictHead(b []byte, start *regexp.Regexp) (*message, []byte, error) {
	line, rest, err := strictLine(b)
	if err != nil {
		return nil, b, err
	}
	m := &message{length: -1}
	parts := latin1(start, line)
	if parts == nil {
		return nil, b, fmt.Errorf("start line %q", line)
	}
	copy(m.start[:], parts[1:])
	if m.fields, rest, err = strictFields(rest); err != nil {
		return nil, b, err
	}
	m.head = string(b[:len(b)-len(rest)])
	lengths, codings := m.get("content-length"), m.get("transfer-encoding")
	switch {
	case len(lengths) > 1, len(codings) > 1, len(lengths)+len(codings) > 1:
		return nil, b, fmt.Errorf("lengths %q and codings %q", lengths, codings)
	case len(lengths) == 1 && !digits.MatchString(lengths[0]):
		return nil, b, fmt.Errorf("length %q", lengths[0])
	case len(codings) == 1 && !strings.EqualFold(codings[0], "chunked"):
		return nil, b, fmt.Errorf("coding %q", codings[0])
	case len(lengths) == 1:
		m.length, _ = strconv.Atoi(lengths[0])
	case len(codings) == 1:
		m.chunked = true
	}
	return m, rest, nil
}

// strictRequest reads one request from the front of b, and says how long it was.
func strictRequest(b []byte) (*message, int, error) {
	m, rest, err := strictHead(b, requestLine)
	if err != nil {
		return nil, 0, err
	}
	hosts := m.get("host")
	switch {
	case len(hosts) > 1, len(hosts) == 0 && m.start[2] == "HTTP/1.1":
		return nil, 0, fmt.Errorf("hosts %q", hosts)
	case m.chunked && m.start[2] == "HTTP/1.0":
		return nil, 0, errors.New("chunked in HTTP/1.0")
	case m.chunked:
		rest, err = m.chunks(rest)
	default:
		rest, err = m.counted(rest, max(m.length, 0))
	}
	if err != nil {
		return m, 0, err
	}
	n := len(b) - len(rest)
	m.raw = string(b[:n])
	return m, n, nil
}

// strictResponse reads one response; ended says that no more bytes will come in good order.
func strictResponse(b []byte, toHEAD, ended bool) (*message, int, error) {
	m, rest, err := strictHead(b, statusLine)
	if err != nil {
		return nil, 0, err
	}
	status := m.status()
	switch {
	case status < 200, status == 204:
		if m.chunked || m.length > 0 {
			return nil, 0, fmt.Errorf("a %d with a body", status)
		}
	case status == 304, toHEAD:
	case m.chunked:
		rest, err = m.chunks(rest)
	case m.length >= 0:
		rest, err = m.counted(rest, m.length)
	default:
		m.byClose, m.body, rest = true, string(rest), nil
		if !ended {
			err = errMore
		}
	}
	if err != nil {
		return m, 0, err
	}
	n := len(b) - len(rest)
	m.raw = string(b[:n])
	return m, n, nil
}

func (m *message) counted(b []byte, n int) ([]byte, error) {
	if len(b) < n {
		m.body = string(b)
		return b, errMore
	}
	m.body = string(b[:n])
	return b[n:], nil
}

func (m *message) chunks(b []byte) ([]byte, error) {
	for {
		line, rest, err := strictLine(b)
		if err != nil {
			return b, err
		}
		size := latin1(sizeLine, line)
		if size == nil {
			return b, fmt.Errorf("chunk size %q", line)
		}
		n, _ := strconv.ParseInt(size[1], 16, 64)
		if n == 0 {
			m.trailers, rest, err = strictFields(rest)
			return rest, err
		}
		if int64(len(rest)) < n+2 {
			m.body += string(rest[:min(int64(len(rest)), n)])
			return b, errMore
		}
		if string(rest[n:n+2]) != "\r\n" {
			return b, fmt.Errorf("chunk of %d ends in %q", n, rest[n:n+2])
		}
		m.body += string(rest[:n])
		b = rest[n+2:]
	}
}

// normal is the message with its chunks joined into one: where they were cut says nothing.
func (m *message) normal() string {
	if !m.chunked {
		return m.raw
	}
	out := m.head
	if m.body != "" {
		out += fmt.Sprintf("%x\r\n%s\r\n", len(m.body), m.body)
	}
	out += "0\r\n"
	for _, f := range m.trailers {
		out += f[0] + ": " + f[1] + "\r\n"
	}
	return out + "\r\n"
}

// names are the field names of a message that may not be well-formed, in lower case.
func names(raw string) (all []string) {
	head, _, _ := strings.Cut(raw, "\r\n\r\n")
	for i, line := range strings.Split(head, "\n") {
		name, _, found := strings.Cut(line, ":")
		if i > 0 && found && !slices.Contains(all, strings.ToLower(name)) {
			all = append(all, strings.ToLower(name))
		}
	}
	return all
}
