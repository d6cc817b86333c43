package e2e

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The tables of cases: what they look like and what each verdict means is told in
// cases/README.md.

// verdictKind is what must become of a message.
type verdictKind int

const (
	forward   verdictKind = iota // passed on, exactly so
	refuse                       // answered by the proxy; nothing reached the other side
	cut                          // answered by the proxy; the upstream saw a beginning at most, never a whole message
	truncated                    // the client sees that what it got is not the whole
)

// wireCase is one case of the tables.
type wireCase struct {
	file, name, rfc string

	kind   verdictKind
	status int    // of a refusal
	reason string // of a refusal, in X-Sluice-Reason
	keep   bool   // the client's connection lives on
	opts   []string

	request  string // what the client sends
	reply    string // what the upstream answers
	upstream string // what it must get
	client   string // what the client must get; empty: the reply, unchanged
}

func (c *wireCase) has(opt string) bool { return slices.Contains(c.opts, opt) }

// number is the value of an option such as after=1.
func (c *wireCase) number(opt string) int {
	for _, o := range c.opts {
		if v, ok := strings.CutPrefix(o, opt+"="); ok {
			n, _ := strconv.Atoi(v)
			return n
		}
	}
	return 0
}

func (c *wireCase) String() string { return c.file + "/" + c.name }

const (
	plainRequest = "GET /case HTTP/1.1\r\nHost: app.example.com\r\n\r\n"
	plainReply   = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ncase"
)

// readCases reads every file of one directory of the tables.
func readCases(t *testing.T, dir string) []*wireCase {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("cases", dir, "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases in %s: %v", dir, err)
	}
	var all []*wireCase
	seen := map[string]bool{}
	for _, file := range files {
		for _, c := range parseCases(t, file, dir) {
			if seen[c.String()] {
				t.Fatalf("%s: the name is not unique", c)
			}
			seen[c.String()] = true
			all = append(all, c)
		}
	}
	return all
}

// parseCases reads one file. The first section of a case is what its directory is
// about: the request, or the upstream's reply.
func parseCases(t *testing.T, file, dir string) []*wireCase {
	t.Helper()
	var all []*wireCase
	var c *wireCase
	var section *string
	for i, line := range strings.Split(read(t, file), "\n") {
		switch {
		case line == "", strings.HasPrefix(line, "# "), line == "#":
		case strings.HasPrefix(line, "== "):
			c = &wireCase{file: dir + "/" + strings.TrimSuffix(filepath.Base(file), ".txt")}
			if err := c.parseHeader(line[3:], dir); err != nil {
				t.Fatalf("%s:%d: %v", file, i+1, err)
			}
			all = append(all, c)
			section = &c.request
			if dir == "response" {
				section = &c.reply
			}
		case strings.HasPrefix(line, "-- "):
			parts := map[string]*string{"request": &c.request, "reply": &c.reply, "upstream": &c.upstream, "client": &c.client}
			if section = parts[line[3:]]; section == nil {
				t.Fatalf("%s:%d: no section %q", file, i+1, line[3:])
			}
		case section == nil:
			t.Fatalf("%s:%d: a line before the first case", file, i+1)
		default:
			text, err := unescape(line)
			if err != nil {
				t.Fatalf("%s:%d: %v", file, i+1, err)
			}
			*section += text
		}
	}
	for _, c := range all {
		c.fill(t)
	}
	return all
}

// parseHeader reads "name | RFC section | verdict | options".
func (c *wireCase) parseHeader(line, dir string) error {
	parts := strings.Split(line, "|")
	if len(parts) < 3 {
		return fmt.Errorf("want: name | section | verdict")
	}
	c.name, c.rfc = strings.TrimSpace(parts[0]), strings.TrimSpace(parts[1])
	if len(parts) > 3 {
		c.opts = strings.Fields(parts[3])
	}
	words := strings.Fields(parts[2])
	c.keep = dir == "response"
	for _, w := range words {
		switch w {
		case "forward":
			c.kind, c.keep = forward, true
		case "cut":
			c.kind = cut
		case "truncated":
			c.kind, c.keep = truncated, false
		case "keep":
			c.keep = true
		case "close":
			c.keep = false
		default:
			if n, err := strconv.Atoi(w); err == nil {
				c.status = n
				if c.kind == forward {
					c.kind = refuse
				}
			} else if c.kind == forward {
				return fmt.Errorf("no verdict begins with %q", w)
			} else {
				c.reason = w
			}
		}
	}
	if len(words) == 0 || c.kind != forward && c.kind != truncated && (c.status == 0 || c.reason == "") {
		return fmt.Errorf("a refusal has a status and a reason")
	}
	return nil
}

func (c *wireCase) fill(t *testing.T) {
	t.Helper()
	if c.request == "" {
		c.request = plainRequest
	}
	if c.reply == "" {
		c.reply = plainReply
	}
	if c.client == "" && c.kind != truncated {
		c.client = c.reply
	}
	c.reply = strings.TrimPrefix(c.reply, "{nothing}") // not the default
	if c.upstream == "" && c.kind == forward && !strings.HasPrefix(c.file, "response") && !c.has("early") {
		t.Fatalf("%s: what must the upstream get?", c)
	}
}

var (
	repeated = regexp.MustCompile(`\{(\d+)\*([^{}]*)\}`)
	escaped  = regexp.MustCompile(`\\(x[0-9a-fA-F]{2}|.)`)
)

// unescape makes bytes of one line of a case.
func unescape(line string) (string, error) {
	var bad error
	for repeated.MatchString(line) && bad == nil { // the innermost first
		line = repeated.ReplaceAllStringFunc(line, func(s string) string {
			m := repeated.FindStringSubmatch(s)
			n, err := strconv.Atoi(m[1])
			if err != nil || n > 1<<20 {
				bad = fmt.Errorf("repeat %q", s)
			}
			return strings.Repeat(m[2], n)
		})
	}
	line = escaped.ReplaceAllStringFunc(line, func(s string) string {
		switch {
		case len(s) == 4:
			v, _ := strconv.ParseUint(s[2:], 16, 8)
			return string([]byte{byte(v)})
		case s == `\r`:
			return "\r"
		case s == `\n`:
			return "\n"
		case s == `\t`:
			return "\t"
		case s == `\\`:
			return `\`
		}
		bad = fmt.Errorf("unknown escape %q", s)
		return ""
	})
	return line, bad
}
