package e2e

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A table of what crosses to an upstream that speaks HTTP/2, and back: requests of HTTP/1.1 and HTTP/2, and responses in frames, to
// clients of both. What it looks like is told in cases/README.md.

// climbCase is one of them.
type climbCase struct {
	file, name, rfc string
	verdict, detail string // forward, truncated, cut, or a status with its reason
	opts            []string

	raw    string     // the request in HTTP/1.1; empty: frames holds it, if it has fields, or it is a plain GET of both
	frames *frameCase // the request in HTTP/2

	upstream *told // what must arrive there; nil: anything
	reply    []step
	client   *told // what the client must get; nil: what was sent
}

// told is a message that one side got, or must get.
type told struct {
	fields   []string // sorted, names in lower case, pseudo-fields too
	body     string
	trailers []string
}

// step is one thing that the upstream does.
type step struct {
	head     [][2]string
	trailers [][2]string
	data     string
	end      bool
	act      string // rst CODE, close, goaway, wait: until the client has given up
}

func (c *climbCase) String() string      { return c.file + "/" + c.name }
func (c *climbCase) has(opt string) bool { return slices.Contains(c.opts, opt) }
func (c *climbCase) overHTTP1() bool     { return c.raw != "" || len(c.frames.fields) == 0 }
func (c *climbCase) overHTTP2() bool     { return c.raw == "" && !c.has("http1") }
func (t *told) add(name, value string)   { t.fields = append(t.fields, name+": "+value) }
func (t *told) sort() *told              { slices.Sort(t.fields); slices.Sort(t.trailers); return t }
func (t *told) same(o *told) bool {
	return slices.Equal(t.fields, o.fields) && t.body == o.body && slices.Equal(t.trailers, o.trailers)
}

func readClimbCases(t *testing.T) (all []*climbCase) {
	t.Helper()
	files, err := filepath.Glob("cases/climb/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		var c *climbCase
		section := ""
		for i, line := range strings.Split(read(t, file), "\n") {
			if line == "" || strings.HasPrefix(line, "# ") {
				continue
			}
			line, err := unescape(line)
			name, ok := strings.CutPrefix(line, "-- ")
			switch {
			case err != nil:
			case strings.HasPrefix(line, "== "):
				c, section = &climbCase{file: strings.TrimSuffix(filepath.Base(file), ".txt"), frames: &frameCase{}}, ""
				err = c.frames.parseHeader(line[3:])
				c.name, c.rfc, c.verdict, c.detail, c.opts = c.frames.name, c.frames.rfc, c.frames.verdict, c.frames.detail, c.frames.opts
				all = append(all, c)
			case ok:
				section = name
				switch section {
				case "upstream":
					c.upstream = &told{}
				case "client":
					c.client = &told{}
				}
			default:
				err = c.parse(section, line)
			}
			if err != nil {
				t.Fatalf("%s:%d: %v", file, i+1, err)
			}
		}
	}
	for _, c := range all {
		c.finish()
	}
	return all
}

func (c *climbCase) parse(section, line string) error {
	switch section {
	case "upstream":
		return c.upstream.parse(line)
	case "client":
		return c.client.parse(line)
	case "reply":
		return c.parseReply(line)
	case "":
		if c.raw == "" && (len(c.frames.fields) > 0 || strings.HasPrefix(line, "{get}") || strings.HasPrefix(line, "{post}") || line[0] == ':') {
			return c.frames.parseFrame(line)
		}
		c.raw += line
		return nil
	}
	return fmt.Errorf("no section %q", section)
}

func (t *told) parse(line string) error {
	switch {
	case strings.HasPrefix(line, "> "):
		t.body += line[2:]
	case strings.HasPrefix(line, "+ "):
		t.trailers = append(t.trailers, line[2:])
	default:
		t.fields = append(t.fields, line)
	}
	return nil
}

func (c *climbCase) parseReply(line string) error {
	last := func() *step {
		if len(c.reply) == 0 {
			c.reply = append(c.reply, step{})
		}
		return &c.reply[len(c.reply)-1]
	}
	switch {
	case line == ".": // the head is whole, and something follows
		c.reply = append(c.reply, step{})
	case strings.HasPrefix(line, ">| "):
		c.reply = append(c.reply, step{data: line[3:], end: true})
	case strings.HasPrefix(line, "> "):
		c.reply = append(c.reply, step{data: line[2:]})
	case strings.HasPrefix(line, "!"):
		c.reply = append(c.reply, step{act: line[1:]})
	case strings.HasPrefix(line, "+! "), strings.HasPrefix(line, "+ "):
		if s := last(); len(s.trailers) == 0 {
			c.reply = append(c.reply, step{end: !strings.HasPrefix(line, "+!")})
		}
		_, field, _ := strings.Cut(line, " ")
		return addField(&last().trailers, field)
	default:
		if s := last(); s.data != "" || s.act != "" || s.trailers != nil {
			c.reply = append(c.reply, step{})
		}
		return addField(&last().head, line)
	}
	return nil
}

// finish fills in what was left out.
func (c *climbCase) finish() {
	if len(c.reply) == 0 {
		c.reply = []step{{head: [][2]string{{":status", "200"}, {"content-length", "4"}}}, {data: "case", end: true}}
	}
	c.reply = slices.DeleteFunc(c.reply, func(s step) bool { return s.head == nil && s.trailers == nil && s.data == "" && !s.end && s.act == "" })
	if last := &c.reply[len(c.reply)-1]; last.head != nil {
		last.end = true
	}
	if c.client == nil {
		c.client = c.sent()
	}
	c.client.sort()
	if c.upstream != nil {
		c.upstream.sort()
	}
}

// sent is the final response as the upstream sends it.
func (c *climbCase) sent() *told {
	t := &told{}
	for _, s := range c.reply {
		if s.head != nil {
			t.fields = nil
			for _, f := range s.head {
				t.add(f[0], f[1])
			}
		}
		t.body += s.data
		for _, f := range s.trailers {
			t.trailers = append(t.trailers, f[0]+": "+f[1])
		}
	}
	return t
}

// interims are the statuses of the informational responses that the upstream sends.
func (c *climbCase) interims() (all []string) {
	for _, s := range c.reply {
		if len(s.head) > 0 && s.head[0][0] == ":status" && s.head[0][1][0] == '1' {
			all = append(all, s.head[0][1])
		}
	}
	return all
}
