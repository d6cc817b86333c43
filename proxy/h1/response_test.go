package h1

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func digestResponse(r *Response) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %q 1.%d %s %d", r.Status, r.Reason, r.Minor, r.Body, r.Length)
	if r.KeepAlive {
		b.WriteString(" keep")
	}
	if r.KeepAliveTimeout != 0 {
		b.WriteString(" " + r.KeepAliveTimeout.String())
	}
	if r.Upgrade != nil {
		fmt.Fprintf(&b, " upgrade=%s", r.Upgrade)
	}
	return b.String()
}

func ok(fields string) string { return "HTTP/1.1 200 OK\r\n" + fields + "\r\n" }

func status(line, fields string) string { return line + "\r\n" + fields + "\r\n" }

// responseCases: section is of RFC 9112 unless a number is given with it. A '!' in
// front of raw makes it an answer to HEAD.
var responseCases = []struct{ section, raw, want string }{
	// Status line.
	{"4", ok("Content-Length: 0\r\n"), `200 "OK" 1.1 none 0 keep`},
	{"4", status("HTTP/1.1 200 ", "Content-Length: 0\r\n"), `200 "" 1.1 none 0 keep`},
	{"4", status("HTTP/1.1 200", "Content-Length: 0\r\n"), `200 "" 1.1 none 0 keep`},
	{"4", status("HTTP/1.1 200  two  words ", "Content-Length: 0\r\n"), `200 " two  words " 1.1 none 0 keep`},
	{"4", status("HTTP/1.1 299 \xe9\t", "Content-Length: 0\r\n"), `299 "\xe9\t" 1.1 none 0 keep`},
	{"4", status("HTTP/1.0 200 OK", ""), `200 "OK" 1.0 until_close -1`},
	{"4", status("HTTP/1.1 200OK", ""), "502 status_line"},
	{"4", status("HTTP/1.1  200 OK", ""), "502 status_line"},
	{"4", status("HTTP/1.1 20 OK", ""), "502 status_line"},
	{"4", status("HTTP/1.1 2000 OK", ""), "502 status_line"},
	{"4", status("HTTP/1.1 +20 OK", ""), "502 status_line"},
	{"4", status("HTTP/1.1 -20 OK", ""), "502 status_line"},
	{"4", status("HTTP/1.1 2x0 OK", ""), "502 status_line"},
	{"4", status("HTTP/1.1\t200 OK", ""), "502 status_line"},
	{"4", status("HTTP/1.1 ", ""), "502 status_line"},
	{"4", status("HTTP/1.1", ""), "502 status_line"},
	{"4", status("HTTP/1.1 200 O\x00K", ""), "502 control_byte"},
	{"4", status("HTTP/1.1 200 O\rK", ""), "502 bare_cr"},
	{"4", "HTTP/1.1 200 OK\nA: b\n\n", "502 bare_lf"},
	{"9110 15", status("HTTP/1.1 099 x", ""), "502 status_line"},
	{"9110 15", status("HTTP/1.1 000 x", ""), "502 status_line"},
	{"9110 15", status("HTTP/1.1 600 x", ""), "502 status_line"},
	{"9110 15", status("HTTP/1.1 999 x", ""), "502 status_line"},
	{"9110 15", status("HTTP/1.1 599 x", "Content-Length: 0\r\n"), `599 "x" 1.1 none 0 keep`},
	{"2.3", status("HTTP/1.2 200 OK", ""), "502 version"},
	{"2.3", status("HTTP/2.0 200 OK", ""), "502 status_line"},
	{"2.3", status("http/1.1 200 OK", ""), "502 status_line"},
	{"2.3", status("HTTP/1.x 200 OK", ""), "502 request_line"},
	{"2.3", status("ICY 200 OK", ""), "502 status_line"},
	{"2.2", "\r\n" + ok(""), "502 status_line"},
	{"2.2", " " + ok(""), "502 status_line"},
	{"2", "SSH-2.0-x\r\n", "502 status_line"},
	{"2", "H", "incomplete"},
	{"2", "", "incomplete"},
	{"2", "HTTP/1.1 200 OK\r\n", "incomplete"},
	{"2", "X", "502 status_line"},

	// Which body follows, in the order of section 6.3.
	{"6.3 rule 1", "!" + ok("Content-Length: 5\r\n"), `200 "OK" 1.1 none 5 keep`},
	{"6.3 rule 1", "!" + ok("Transfer-Encoding: chunked\r\n"), `200 "OK" 1.1 none -1 keep`},
	{"6.3 rule 1", "!" + ok(""), `200 "OK" 1.1 none -1 keep`},
	{"6.3 rule 1", status("HTTP/1.1 204 x", ""), `204 "x" 1.1 none -1 keep`},
	{"6.3 rule 1", status("HTTP/1.1 204 x", "Content-Length: 0\r\n"), `204 "x" 1.1 none 0 keep`},
	{"6.3 rule 1", status("HTTP/1.1 204 x", "Content-Length: 5\r\n"), "502 framed_without_body"},
	{"6.1", status("HTTP/1.1 204 x", "Transfer-Encoding: chunked\r\n"), "502 framed_without_body"},
	{"6.3 rule 1", status("HTTP/1.1 304 x", "Content-Length: 5\r\n"), `304 "x" 1.1 none 5 keep`},
	{"6.3 rule 1", status("HTTP/1.1 304 x", "Transfer-Encoding: chunked\r\n"), `304 "x" 1.1 none -1 keep`},
	{"6.3 rule 1", status("HTTP/1.1 304 x", ""), `304 "x" 1.1 none -1 keep`},
	{"6.3 rule 1", status("HTTP/1.1 100 Continue", ""), `100 "Continue" 1.1 none -1 keep`},
	{"6.3 rule 1", status("HTTP/1.1 103 x", "Link: </a>\r\n"), `103 "x" 1.1 none -1 keep`},
	{"9110 8.6", status("HTTP/1.1 100 Continue", "Content-Length: 1\r\n"), "502 framed_without_body"},
	{"6.1", status("HTTP/1.1 103 x", "Transfer-Encoding: chunked\r\n"), "502 framed_without_body"},
	{"9110 7.8", status("HTTP/1.1 101 x", "Connection: upgrade\r\nUpgrade: websocket\r\n"), `101 "x" 1.1 none -1 keep upgrade=websocket`},
	{"9110 7.8", status("HTTP/1.1 101 x", "Upgrade: websocket\r\n"), `101 "x" 1.1 none -1 keep`},
	{"9110 15.3.6", status("HTTP/1.1 205 x", "Content-Length: 0\r\n"), `205 "x" 1.1 none 0 keep`},
	{"6.3 rule 3", ok("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), "502 length_and_transfer_encoding"},
	{"6.3 rule 3", "!" + ok("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), "502 length_and_transfer_encoding"},
	{"6.3 rule 4", ok("Transfer-Encoding: chunked\r\n"), `200 "OK" 1.1 chunked -1 keep`},
	{"6.3 rule 4", ok("Transfer-Encoding: gzip, chunked\r\n"), "502 transfer_encoding"},
	{"6.3 rule 4", ok("Transfer-Encoding: identity\r\n"), "502 transfer_encoding_invalid"},
	{"6.3 rule 4", ok("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), "502 transfer_encoding_repeated"},
	{"6.1", status("HTTP/1.0 200 OK", "Transfer-Encoding: chunked\r\n"), "502 transfer_encoding_http10"},
	{"6.3 rule 5", ok("Content-Length: x\r\n"), "502 content_length"},
	{"6.3 rule 5", ok("Content-Length: 5, 5\r\n"), "502 content_length"},
	{"6.3 rule 5", ok("Content-Length: 5\r\nContent-Length: 5\r\n"), "502 content_length_repeated"},
	{"6.3 rule 6", ok("Content-Length: 5\r\n"), `200 "OK" 1.1 length 5 keep`},
	{"6.3 rule 8", ok(""), `200 "OK" 1.1 until_close -1`},
	{"6.3 rule 8", ok("Connection: keep-alive\r\n"), `200 "OK" 1.1 until_close -1`},

	// Connection.
	{"9.3", ok("Content-Length: 0\r\nConnection: close\r\n"), `200 "OK" 1.1 none 0`},
	{"9.3", status("HTTP/1.0 200 OK", "Content-Length: 1\r\n"), `200 "OK" 1.0 length 1`},
	{"9.3", status("HTTP/1.0 200 OK", "Content-Length: 1\r\nConnection: keep-alive\r\n"), `200 "OK" 1.0 length 1 keep`},
	{"9110 7.6.1", ok("Content-Length: 0\r\nConnection: set-cookie\r\n"), "502 connection"},
	{"2068 19.7.1", ok("Content-Length: 0\r\nKeep-Alive: timeout=5, max=100\r\n"), `200 "OK" 1.1 none 0 keep 5s`},
	{"2068 19.7.1", ok("Content-Length: 0\r\nKeep-Alive: max=1, Timeout = 60\r\n"), `200 "OK" 1.1 none 0 keep 1m0s`},
	{"2068 19.7.1", ok("Content-Length: 0\r\nKeep-Alive: timeout=-1\r\n"), `200 "OK" 1.1 none 0 keep`},
	{"2068 19.7.1", ok("Content-Length: 0\r\nKeep-Alive: timeout=99999999999\r\n"), `200 "OK" 1.1 none 0 keep`},
	{"2068 19.7.1", ok("Content-Length: 0\r\nKeep-Alive: 300\r\n"), `200 "OK" 1.1 none 0 keep`},

	// Field lines are parsed by the same code as those of requests.
	{"5.1", ok("A : b\r\n"), "502 space_before_colon"},
	{"5.2", ok("A: b\r\n c\r\n"), "502 obs_fold"},
	{"9110 5.5", ok("A: b\x00\r\n"), "502 control_byte"},
	{"5.1", ok("A\r\n"), "502 no_colon"},
	{"2.2", ok("A: b\nC: d\r\n"), "502 bare_lf"},
	{"3", ok("A: " + strings.Repeat("a", DefaultLine) + "\r\n"), "502 field_too_long"},
	{"3", ok(strings.Repeat("A: b\r\n", DefaultFields+1)), "502 too_many_fields"},
	{"3", ok(strings.Repeat("A: "+strings.Repeat("b", DefaultLine-8)+"\r\n", 5)), "502 head_too_large"},
	{"3", "HTTP/1.1 200 " + strings.Repeat("a", DefaultLine), "502 field_too_long"},
}

func TestResponseTable(t *testing.T) {
	if len(responseCases) < 60 {
		t.Fatalf("%d cases", len(responseCases))
	}
	var r Response
	for _, c := range responseCases {
		raw, toHEAD := strings.CutPrefix(c.raw, "!")
		n, err := r.Parse([]byte(raw+"rest"), toHEAD, Limits{})
		if c.want == "incomplete" {
			n, err = r.Parse([]byte(raw), toHEAD, Limits{})
		}
		got := outcome(n, err)
		if got == "" {
			got = digestResponse(&r)
			if n != len(raw) {
				t.Errorf("RFC %s: %.60q: length %d of %d", c.section, raw, n, len(raw))
			}
		}
		if got != c.want {
			t.Errorf("RFC %s: %.80q\n got %s\nwant %s", c.section, c.raw, got, c.want)
		}
		for i := 0; i < len(raw) && i < 400; i++ {
			m, err := r.Parse([]byte(raw[:i]), toHEAD, Limits{})
			if got := outcome(m, err); got != "incomplete" && got != c.want {
				t.Fatalf("%.60q cut at %d: %s, want incomplete or %s", raw, i, got, c.want)
			}
		}
	}
}

func TestResponseAllocatesNothing(t *testing.T) {
	raw := []byte(ok("Server: x\r\nDate: y\r\nContent-Type: text/plain\r\nKeep-Alive: timeout=5\r\nContent-Length: 5\r\n"))
	bad := []byte(ok("Content-Length: x\r\n"))
	var r Response
	if got := testing.AllocsPerRun(100, func() {
		if n, err := r.Parse(raw, false, Limits{}); n == 0 || err != nil || r.KeepAliveTimeout != 5*time.Second {
			t.Fatal(n, err)
		}
		if _, err := r.Parse(bad, false, Limits{}); err == nil {
			t.Fatal("accepted")
		}
	}); got != 0 {
		t.Errorf("%v allocations", got)
	}
}
