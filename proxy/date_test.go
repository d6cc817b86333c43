package proxy

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/internal/sim"
	"github.com/sluiceproxy/sluice/proxy/h1"
)

// dates matches the Date fields of heads.
var dates = regexp.MustCompile(`Date: [A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT\r\n`)

// undated is what came without Date fields.
func undated(s string) string { return dates.ReplaceAllString(s, "") }

// A final response without a Date gets one, with the time at which it came; any other stays
// as it is. Interim responses need none (RFC 9110 section 6.6.1).
func TestDate(t *testing.T) {
	const dated = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
	for _, c := range []struct{ method, status, fields string }{
		{"GET", "200 OK", "Content-Length: 0\r\n"},
		{"GET", "404 Not Found", "Content-Length: 0\r\n"},
		{"GET", "500 Internal Server Error", "Content-Length: 0\r\n"},
		{"GET", "304 Not Modified", "Content-Length: 3\r\n"},
		{"GET", "204 No Content", ""},
		{"HEAD", "200 OK", "Content-Length: 3\r\n"},
		{"GET", "200 OK", dated + "Content-Length: 0\r\n"},
		{"GET", "200 OK", "Content-Length: 0\r\ndate: tomorrow\r\n"},
	} {
		w := newWalk(t, Config{})
		w.open()
		w.simple("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 " + c.status + "\r\n" + c.fields + "\r\n")
		cl := w.dial("web")
		w.pass(400 * time.Millisecond)
		for i := range 3 {
			cl.got = ""
			before := w.net.Now()
			cl.Write([]byte(c.method + " / HTTP/1.1\r\nHost: a\r\n\r\n"))
			w.until("a final response", func() bool { return strings.Count(cl.got, "\r\n\r\n") == 2 })
			interim, final, _ := strings.Cut(cl.got, "\r\n\r\n")
			if strings.Contains(interim, "Date") {
				t.Errorf("%s: the interim response is %q", c.status, interim)
			}
			got := strings.TrimPrefix(final, "HTTP/1.1 "+c.status+"\r\n"+c.fields)
			if strings.Contains(strings.ToLower(c.fields), "date:") {
				if got != "\r\n" {
					t.Errorf("of %q the client got %q", c.fields, final)
				}
				continue
			}
			stamp, err := time.Parse("Date: Mon, 02 Jan 2006 15:04:05 GMT\r\n\r\n", got)
			if err != nil || stamp.Before(before.Truncate(time.Second)) || stamp.After(w.net.Now()) {
				t.Errorf("%s %s, request %d at %v: the client got %q", c.method, c.status, i, before.Sub(sim.Epoch), final)
			}
			w.pass(700 * time.Millisecond)
		}
	}
}

// Our own answers have it, too.
func TestDateOfOurOwnAnswers(t *testing.T) {
	w := newWalk(t, Config{})
	w.open()
	c := w.dial("web")
	w.pass(3 * time.Second)
	c.Write([]byte("GET /%2f HTTP/1.1\r\nHost: a\r\n\r\n"))
	w.until("an answer", c.has("\r\n\r\n"))
	if !strings.Contains(c.got, "\r\nDate: Tue, 01 Jan 2030 00:00:03 GMT\r\n") {
		t.Errorf("client got %q", c.got)
	}
}

// What a response without a Date costs more.
func BenchmarkDate(b *testing.B) {
	var d dateField
	var r h1.Response
	if _, err := r.Parse([]byte("HTTP/1.1 200 OK\r\nServer: x\r\nContent-Type: a/b\r\nCache-Control: no-store\r\nContent-Length: 2\r\n\r\n"), false, h1.Limits{}); err != nil {
		b.Fatal(err)
	}
	now, out := sim.Epoch, make([]byte, 0, 512)
	b.ReportAllocs()
	for b.Loop() {
		out = out[:0]
		if !hasDate(r.Fields) {
			out = append(out, d.at(now)...)
		}
	}
}
