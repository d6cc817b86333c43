package e2e

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A table of requests in frames of HTTP/2 and of what an upstream that speaks HTTP/1.1 may get of them. What
// it looks like is told in cases/README.md.

// frameCase is one of them.
type frameCase struct {
	file, name, rfc string
	verdict         string // forward, cut, reset, or a status
	detail          string // the code of a reset, the reason of a status
	opts            []string

	fields   [][2]string // of the head
	body     []piece
	trailers [][2]string // that are sent
	open     bool        // the trailers do not end the stream

	upstream []string // start line and fields that it must get; empty: what was sent
	arrive   []string // trailers that must arrive
}

// piece is what follows the head: a frame of DATA, or an end by the client.
type piece struct {
	data string
	end  bool
	act  string // rst or close
}

func (c *frameCase) String() string { return c.file + "/" + c.name }

func readFrameCases(t *testing.T) (all []*frameCase) {
	t.Helper()
	files, err := filepath.Glob("cases/downgrade/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		var c *frameCase
		section := "frames"
		for i, line := range strings.Split(read(t, file), "\n") {
			if line == "" || strings.HasPrefix(line, "# ") {
				continue
			}
			line, err := unescape(line)
			switch name, ok := strings.CutPrefix(line, "-- "); {
			case err != nil:
			case strings.HasPrefix(line, "== "):
				c, section = &frameCase{file: strings.TrimSuffix(filepath.Base(file), ".txt")}, "frames"
				err = c.parseHeader(line[3:])
				all = append(all, c)
			case ok:
				section = name
			case section == "upstream":
				c.upstream = append(c.upstream, line)
			case section == "trailers":
				c.arrive = append(c.arrive, line)
			default:
				err = c.parseFrame(line)
			}
			if err != nil {
				t.Fatalf("%s:%d: %v", file, i+1, err)
			}
		}
	}
	return all
}

func (c *frameCase) parseHeader(line string) error {
	parts := strings.Split(line, "|")
	if len(parts) < 3 {
		return fmt.Errorf("want: name | section | verdict")
	}
	c.name, c.rfc = strings.TrimSpace(parts[0]), strings.TrimSpace(parts[1])
	c.verdict, c.detail, _ = strings.Cut(strings.TrimSpace(parts[2]), " ")
	if len(parts) > 3 {
		c.opts = strings.Fields(parts[3])
	}
	return nil
}

func (c *frameCase) has(opt string) bool { return slices.Contains(c.opts, opt) }

func (c *frameCase) parseFrame(line string) error {
	method, path, short := strings.Cut(line, "} ")
	switch {
	case short && (method == "{get" || method == "{post"):
		c.fields = append(c.fields, [2]string{":method", strings.ToUpper(method[1:])}, [2]string{":scheme", "http"},
			[2]string{":authority", "app.example.com"}, [2]string{":path", path})
	case strings.HasPrefix(line, ">| "):
		c.body = append(c.body, piece{data: line[3:], end: true})
	case strings.HasPrefix(line, "> "):
		c.body = append(c.body, piece{data: line[2:]})
	case strings.HasPrefix(line, "!"):
		c.body = append(c.body, piece{act: line[1:]})
	case strings.HasPrefix(line, "+! "):
		c.open = true
		return addField(&c.trailers, line[3:])
	case strings.HasPrefix(line, "+ "):
		return addField(&c.trailers, line[2:])
	default:
		return addField(&c.fields, line)
	}
	return nil
}

// addField reads "name: value"; the name may begin with a colon, and {empty} is none.
func addField(list *[][2]string, line string) error {
	at := strings.Index(line[1:], ": ") + 1
	if at == 0 {
		return fmt.Errorf("no field: %q", line)
	}
	*list = append(*list, [2]string{strings.TrimPrefix(line[:at], "{empty}"), line[at+2:]})
	return nil
}

// want is the start line, the fields (sorted, names in lower case) and the body that the upstream must get.
func (c *frameCase) want() (start string, fields []string, body string) {
	for _, p := range c.body {
		body += p.data
	}
	if len(c.upstream) > 0 {
		fields = append(fields, c.upstream[1:]...)
		slices.Sort(fields)
		return c.upstream[0], fields, body
	}
	var method, path string
	length := false
	for _, f := range c.fields {
		switch f[0] {
		case ":method":
			method = f[1]
		case ":path":
			path = f[1]
		case ":authority":
			fields = append(fields, "host: "+f[1])
		case ":scheme", "expect":
		case "content-length":
			length = true
			fallthrough
		default:
			fields = append(fields, f[0]+": "+f[1])
		}
	}
	if !length && (len(c.body) > 0 || len(c.trailers) > 0) {
		fields = append(fields, "transfer-encoding: chunked")
	}
	slices.Sort(fields)
	return method + " " + path + " HTTP/1.1", fields, body
}
