package h1

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// digest writes what matters of a request in one line, for tables.
func digest(r *Request) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s", r.Method, r.Form, r.Path)
	if r.HasQuery {
		fmt.Fprintf(&b, "?%s", r.Query)
	}
	fmt.Fprintf(&b, " host=%s 1.%d %s %d", r.Host, r.Minor, r.Body, r.Length)
	for _, flag := range []struct {
		name string
		on   bool
	}{{"keep", r.KeepAlive}, {"expect", r.Expect100}, {"trailers", r.Trailers}} {
		if flag.on {
			b.WriteString(" " + flag.name)
		}
	}
	if r.Upgrade != nil {
		fmt.Fprintf(&b, " upgrade=%s", r.Upgrade)
	}
	return b.String()
}

func outcome(n int, err error) string {
	var e *Error
	switch {
	case errors.As(err, &e):
		return fmt.Sprintf("%d %s", e.Status, e.Reason)
	case n == 0:
		return "incomplete"
	}
	return ""
}

// get is a GET with these further field lines, each ended by CRLF.
func get(fields string) string { return "GET / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n" }

// get10 is the same in HTTP/1.0.
func get10(fields string) string { return "GET / HTTP/1.0\r\n" + fields + "\r\n" }

// line is a whole request with this request line.
func line(l string) string { return l + "\r\nHost: a\r\n\r\n" }

const plain = "GET origin / host=a 1.1 none 0 keep"

// requestCases: section is of RFC 9112 unless a number is given with it.
var requestCases = []struct{ section, raw, want string }{
	// Request line.
	{"3", get(""), plain},
	{"3", line("get / HTTP/1.1"), "get origin / host=a 1.1 none 0 keep"},
	{"3", line("M-SEARCH / HTTP/1.1"), "M-SEARCH origin / host=a 1.1 none 0 keep"},
	{"3", line("!#$%&'*+-.^_`|~ / HTTP/1.1"), "!#$%&'*+-.^_`|~ origin / host=a 1.1 none 0 keep"},
	{"3", line("GET  / HTTP/1.1"), "400 target"},
	{"3", line("GET /  HTTP/1.1"), "400 target"},
	{"3", line("GET / HTTP/1.1 "), "400 request_line"},
	{"3", line(" GET / HTTP/1.1"), "400 method"},
	{"3", line("\tGET / HTTP/1.1"), "400 method"},
	{"3", line("GET\t/ HTTP/1.1"), "400 request_line"},
	{"3", line("GET\t/\tHTTP/1.1"), "400 request_line"},
	{"3", line("GET /a b HTTP/1.1"), "400 target"},
	{"3", line("GET /a\tb HTTP/1.1"), "400 target"},
	{"3", line("GET /"), "400 request_line"},
	{"3", line("GET"), "400 request_line"},
	{"3", line("GET HTTP/1.1"), "400 request_line"},
	{"3", line("GET / HTTP/1.1\x0b"), "400 control_byte"},
	{"3.1", line("G=T / HTTP/1.1"), "400 method"},
	{"3.1", line("G@T / HTTP/1.1"), "400 method"},
	{"3.1", line("G\x80T / HTTP/1.1"), "400 method"},
	{"3.1", line("(GET) / HTTP/1.1"), "400 method"},
	{"3.1", line("GET: / HTTP/1.1"), "400 method"},
	{"2.2", "\r\n" + get(""), plain},
	{"2.2", "\r\n\r\n" + get(""), "400 method"},
	{"2.2", "\n" + get(""), "400 bare_lf"},
	{"2.2", "\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", "400 bare_cr"},
	{"2.2", " \r\n" + get(""), "400 method"},
	{"2.2", "\x16\x03\x01\x02\x00\x01\x00", "400 method"}, // a TLS ClientHello
	{"2.2", "\x00", "400 method"},

	// Version.
	{"2.3", line("GET / HTTP/1.0"), "GET origin / host=a 1.0 none 0"},
	{"2.3", line("GET / HTTP/1.2"), "505 version"},
	{"2.3", line("GET / HTTP/1.9"), "505 version"},
	{"2.3", line("GET / HTTP/2.0"), "505 version"},
	{"2.3", line("GET / HTTP/0.9"), "505 version"},
	{"2.3", line("GET / HTTP/3.0"), "505 version"},
	{"2.3", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505 version"},
	{"2.3", line("GET / http/1.1"), "400 request_line"},
	{"2.3", line("GET / Http/1.1"), "400 request_line"},
	{"2.3", line("GET / HTTP/1"), "400 request_line"},
	{"2.3", line("GET / HTTP/11"), "400 request_line"},
	{"2.3", line("GET / HTTP/1.10"), "400 request_line"},
	{"2.3", line("GET / HTTP/01.1"), "400 request_line"},
	{"2.3", line("GET / HTTP/1,1"), "400 request_line"},
	{"2.3", line("GET / HTTP/1.x"), "400 request_line"},
	{"2.3", line("GET / HTTP /1.1"), "400 request_line"},
	{"2.3", line("GET / HTTPS/1.1"), "400 request_line"},
	{"2.3", line("GET / ICY/1.1"), "400 request_line"},

	// Target.
	{"3.2.1", line("GET /a?b HTTP/1.1"), "GET origin /a?b host=a 1.1 none 0 keep"},
	{"3.2.1", line("GET /a? HTTP/1.1"), "GET origin /a? host=a 1.1 none 0 keep"},
	{"3.2.1", line("GET /? HTTP/1.1"), "GET origin /? host=a 1.1 none 0 keep"},
	{"3.2.1", line("GET /a?b?c HTTP/1.1"), "GET origin /a?b?c host=a 1.1 none 0 keep"},
	{"3.2.1", line("GET //x/y HTTP/1.1"), "GET origin //x/y host=a 1.1 none 0 keep"},
	{"3.2.1", line("GET /%2e%2e/ HTTP/1.1"), "GET origin /%2e%2e/ host=a 1.1 none 0 keep"},
	{"3.2.1", line("GET /?{|}^`\\ HTTP/1.1"), "GET origin /?{|}^`\\ host=a 1.1 none 0 keep"},
	{"3.2.1", line("GET /a#b HTTP/1.1"), "400 target"},
	{"3.2.1", line("GET /a?#b HTTP/1.1"), "400 target"},
	{"3.2.1", line("GET /\xc3\xa9 HTTP/1.1"), "400 target"},
	{"3.2.1", line("GET /\x7f HTTP/1.1"), "400 control_byte"},
	{"3.2.1", line("GET /\x00 HTTP/1.1"), "400 control_byte"},
	{"3.2.1", line("GET /\x1b[31m HTTP/1.1"), "400 control_byte"},
	{"3.2.1", line("GET /\" HTTP/1.1"), "400 target"},
	{"3.2.1", line("GET /<x> HTTP/1.1"), "400 target"},
	{"3.2.1", line("GET a HTTP/1.1"), "400 target"},
	{"3.2.1", line("GET ?a HTTP/1.1"), "400 target"},
	{"3.2.1", line("GET ./a HTTP/1.1"), "400 target"},
	{"3.2.1", line("GET \\a HTTP/1.1"), "400 target"},
	{"3.2.2", line("GET http://a/b?c HTTP/1.1"), "GET absolute /b?c host=a 1.1 none 0 keep"},
	{"3.2.2", line("GET HTTP://A/b HTTP/1.1"), "GET absolute /b host=A 1.1 none 0 keep"},
	{"3.2.2", line("GET https://a/ HTTP/1.1"), "GET absolute / host=a 1.1 none 0 keep"},
	{"3.2.2", line("GET http://a HTTP/1.1"), "GET absolute / host=a 1.1 none 0 keep"},
	{"3.2.2", line("GET http://a?b HTTP/1.1"), "GET absolute /?b host=a 1.1 none 0 keep"},
	{"3.2.2", line("GET http://a?b/c HTTP/1.1"), "GET absolute /?b/c host=a 1.1 none 0 keep"},
	{"3.2.2", line("GET http://a:80/ HTTP/1.1"), "GET absolute / host=a:80 1.1 none 0 keep"},
	{"3.2.2", line("GET https://a:443/ HTTP/1.1"), "GET absolute / host=a:443 1.1 none 0 keep"},
	{"3.2.2", line("GET https://a:80/ HTTP/1.1"), "400 host_mismatch"},
	{"3.2.2", line("GET http://a:81/ HTTP/1.1"), "400 host_mismatch"},
	{"3.2.2", line("GET http://b/ HTTP/1.1"), "400 host_mismatch"},
	{"3.2.2", line("GET http://a./ HTTP/1.1"), "400 host_mismatch"},
	{"3.2.2", "GET http://a/ HTTP/1.1\r\n\r\n", "400 host_missing"},
	{"3.2.2", "GET http://a/ HTTP/1.0\r\n\r\n", "GET absolute / host=a 1.0 none 0"},
	{"3.2.2", line("GET ftp://a/ HTTP/1.1"), "400 target"},
	{"3.2.2", line("GET ws://a/ HTTP/1.1"), "400 target"},
	{"3.2.2", line("GET http:a HTTP/1.1"), "400 target"},
	{"3.2.2", line("GET http:/a HTTP/1.1"), "400 target"},
	{"3.2.2", line("GET http:///a HTTP/1.1"), "400 target"},
	{"3.2.2", line("GET http:// HTTP/1.1"), "400 target"},
	{"3.2.2", line("GET http: HTTP/1.1"), "400 target"},
	{"3.2.2", line("GET http://a:/ HTTP/1.1"), "400 target"},
	{"3.2.2", line("GET http://a:99999/ HTTP/1.1"), "400 target"},
	{"3.2.2", line("GET http://a\\b/ HTTP/1.1"), "400 target"},
	{"3.2.2 and 9110 4.2.4", line("GET http://u@a/ HTTP/1.1"), "400 userinfo"},
	{"3.2.2 and 9110 4.2.4", line("GET http://u:p@a/ HTTP/1.1"), "400 userinfo"},
	{"3.2.3", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", "CONNECT authority  host=a:443 1.1 none 0 keep"},
	{"3.2.3", "CONNECT [::1]:443 HTTP/1.1\r\nHost: a\r\n\r\n", "CONNECT authority  host=[::1]:443 1.1 none 0 keep"},
	{"3.2.3", line("CONNECT a HTTP/1.1"), "400 target"},
	{"3.2.3", line("CONNECT a: HTTP/1.1"), "400 target"},
	{"3.2.3", line("CONNECT :443 HTTP/1.1"), "400 target"},
	{"3.2.3", line("CONNECT / HTTP/1.1"), "400 target"},
	{"3.2.3", line("CONNECT http://a/ HTTP/1.1"), "400 target"},
	{"3.2.3", line("CONNECT u@a:443 HTTP/1.1"), "400 target"},
	{"3.2.3", line("GET a:443 HTTP/1.1"), "400 target"},
	{"3.2.4", line("OPTIONS * HTTP/1.1"), "OPTIONS asterisk * host=a 1.1 none 0 keep"},
	{"3.2.4", line("OPTIONS http://a HTTP/1.1"), "OPTIONS asterisk * host=a 1.1 none 0 keep"},
	{"3.2.4", line("OPTIONS http://a/ HTTP/1.1"), "OPTIONS absolute / host=a 1.1 none 0 keep"},
	{"3.2.4", line("OPTIONS http://a? HTTP/1.1"), "OPTIONS absolute /? host=a 1.1 none 0 keep"},
	{"3.2.4", line("GET * HTTP/1.1"), "400 target"},
	{"3.2.4", line("OPTIONS *a HTTP/1.1"), "400 target"},
	{"3.2.4", line("options * HTTP/1.1"), "400 target"},

	// Host.
	{"3.2", "GET / HTTP/1.1\r\n\r\n", "400 host_missing"},
	{"3.2", "GET / HTTP/1.0\r\n\r\n", "GET origin / host= 1.0 none 0"},
	{"3.2", get("Host: a\r\n"), "400 host_repeated"},
	{"3.2", get("hOST: b\r\n"), "400 host_repeated"},
	{"3.2", get10("Host: a\r\nHost: b\r\n"), "400 host_repeated"},
	{"3.2", "GET / HTTP/1.1\r\nHost:\r\n\r\n", "400 host_invalid"},
	{"3.2", "GET / HTTP/1.0\r\nHost:\r\n\r\n", "400 host_invalid"},
	{"3.2", "GET / HTTP/1.1\r\nhost:a\r\n\r\n", plain},
	{"3.2", "GET / HTTP/1.1\r\nHost: \t a \t\r\n\r\n", plain},
	{"3.2", "GET / HTTP/1.1\r\nHost: A.b-c_d.:8080\r\n\r\n", "GET origin / host=A.b-c_d.:8080 1.1 none 0 keep"},
	{"3.2", "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", "GET origin / host=127.0.0.1 1.1 none 0 keep"},
	{"3.2", "GET / HTTP/1.1\r\nHost: [::1]\r\n\r\n", "GET origin / host=[::1] 1.1 none 0 keep"},
	{"3.2", "GET / HTTP/1.1\r\nHost: [fe80::1:2]:443\r\n\r\n", "GET origin / host=[fe80::1:2]:443 1.1 none 0 keep"},
	{"3.2", "GET / HTTP/1.1\r\nHost: [::ffff:1.2.3.4]\r\n\r\n", "GET origin / host=[::ffff:1.2.3.4] 1.1 none 0 keep"},
	{"3.2", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "400 host_invalid"},
	{"3.2", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", "400 host_invalid"},
	{"3.2", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "400 host_invalid"},
	{"3.2", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", "400 host_invalid"},
	{"3.2", "GET / HTTP/1.1\r\nHost: http://a\r\n\r\n", "400 host_invalid"},
	{"3.2", "GET / HTTP/1.1\r\nHost: a:\r\n\r\n", "400 host_invalid"},
	{"3.2", "GET / HTTP/1.1\r\nHost: a:0\r\n\r\n", "400 host_invalid"},
	{"3.2", "GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", "400 host_invalid"},
	{"3.2", "GET / HTTP/1.1\r\nHost: a:x\r\n\r\n", "400 host_invalid"},
	{"3.2", "GET / HTTP/1.1\r\nHost: a:-1\r\n\r\n", "400 host_invalid"},
	{"3.2", "GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n", "400 host_invalid"},
	{"3.2", "GET / HTTP/1.1\r\nHost: :80\r\n\r\n", "400 host_invalid"},
	{"3.2", "GET / HTTP/1.1\r\nHost: .a\r\n\r\n", "400 host_invalid"},
	{"3.2", "GET / HTTP/1.1\r\nHost: a..b\r\n\r\n", "400 host_invalid"},
	{"3.2", "GET / HTTP/1.1\r\nHost: .\r\n\r\n", "400 host_invalid"},
	{"3.2", "GET / HTTP/1.1\r\nHost: a%41\r\n\r\n", "400 host_invalid"},
	{"3.2", "GET / HTTP/1.1\r\nHost: \xc3\xa9\r\n\r\n", "400 host_invalid"},
	{"3.2", "GET / HTTP/1.1\r\nHost: []\r\n\r\n", "400 host_invalid"},
	{"3.2", "GET / HTTP/1.1\r\nHost: [a]\r\n\r\n", "400 host_invalid"},
	{"3.2", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", "400 host_invalid"},
	{"3.2", "GET / HTTP/1.1\r\nHost: ::1\r\n\r\n", "400 host_invalid"},
	{"3.2", "GET / HTTP/1.1\r\nHost: [::1%25eth0]\r\n\r\n", "400 host_invalid"},
	{"3.2", "GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n", "400 host_invalid"},
	{"3.2", "GET / HTTP/1.1\r\nHost: [127.0.0.1]\r\n\r\n", "400 host_invalid"},
	{"3.2", "GET / HTTP/1.1\r\nHost: " + strings.Repeat("a", 256) + "\r\n\r\n", "400 host_invalid"},
	{"3.2", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", "400 space_before_colon"},

	// Field lines.
	{"5.1", get("A:\r\n"), plain},
	{"5.1", get("A: \r\n"), plain},
	{"5.1", get("A:b:c\r\n"), plain},
	{"5.1", get("A: \xff\x80\r\n"), plain},
	{"5.1", get("A: \"b\tc\"\r\n"), plain},
	{"5.1", get("A : b\r\n"), "400 space_before_colon"},
	{"5.1", get("A\t: b\r\n"), "400 space_before_colon"},
	{"5.1", get("A B: c\r\n"), "400 space_before_colon"},
	{"5.1", get("A\r\n"), "400 no_colon"},
	{"5.1", get(": a\r\n"), "400 field_name"},
	{"5.1", get("(A): b\r\n"), "400 field_name"},
	{"5.1", get("A@: b\r\n"), "400 field_name"},
	{"5.1", get("A\x80: b\r\n"), "400 field_name"},
	{"5.1", get("\xef\xbb\xbfA: b\r\n"), "400 field_name"},
	{"5.1", get("A/B: b\r\n"), "400 field_name"},
	{"5.1", get("A;B: b\r\n"), "400 field_name"},
	{"5.1", get("A\x00: b\r\n"), "400 control_byte"},
	{"5.2", get("A: b\r\n c\r\n"), "400 obs_fold"},
	{"5.2", get("A: b\r\n\tc: d\r\n"), "400 obs_fold"},
	{"5.2", get(" \r\n"), "400 obs_fold"},
	{"5.2", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", "400 obs_fold"},
	{"9110 5.5", get("A: b\x00\r\n"), "400 control_byte"},
	{"9110 5.5", get("A: \x01\r\n"), "400 control_byte"},
	{"9110 5.5", get("A: b\x7f\r\n"), "400 control_byte"},
	{"9110 5.5", get("A: 01234567\x1b[0m\r\n"), "400 control_byte"},
	{"9110 5.5", get("A: b\x0bc\r\n"), "400 control_byte"},
	{"9110 5.5", get("A: b\rc\r\n"), "400 bare_cr"},
	{"9110 5.5", get("A: b\r\r\n"), "400 bare_cr"},
	{"9110 5.5", get("\rA: b\r\n"), "400 bare_cr"},
	{"2.2", "GET / HTTP/1.1\nHost: a\n\n", "400 bare_lf"},
	{"2.2", "GET / HTTP/1.1\r\nHost: a\n\r\n", "400 bare_lf"},
	{"2.2", "GET / HTTP/1.1\r\nHost: a\r\n\n", "400 bare_lf"},
	{"2.2", "GET / HTTP/1.1\r\nHost: a\r\nA: b\nC: d\r\n\r\n", "400 bare_lf"},
	{"2.2", "GET / HTTP/1.1\rHost: a\r\n\r\n", "400 bare_cr"},
	{"2.2", "GET /\rb HTTP/1.1\r\nHost: a\r\n\r\n", "400 bare_cr"},

	// Body length.
	{"6.3", get("Content-Length: 0\r\n"), plain},
	{"6.3", get("Content-Length: 5\r\n"), "GET origin / host=a 1.1 length 5 keep"},
	{"6.3", get("content-length:5 \r\n"), "GET origin / host=a 1.1 length 5 keep"},
	{"6.3", get("Content-Length: 007\r\n"), "GET origin / host=a 1.1 length 7 keep"},
	{"6.3", get("Content-Length: 999999999999999999\r\n"), "GET origin / host=a 1.1 length 999999999999999999 keep"},
	{"6.3", get("Content-Length: 1000000000000000000\r\n"), "400 content_length"},
	{"6.3", get("Content-Length: 18446744073709551616\r\n"), "400 content_length"},
	{"6.3", get("Content-Length: +5\r\n"), "400 content_length"},
	{"6.3", get("Content-Length: -5\r\n"), "400 content_length"},
	{"6.3", get("Content-Length: -0\r\n"), "400 content_length"},
	{"6.3", get("Content-Length: 5 5\r\n"), "400 content_length"},
	{"6.3", get("Content-Length: 5,5\r\n"), "400 content_length"},
	{"6.3", get("Content-Length: 5, 6\r\n"), "400 content_length"},
	{"6.3", get("Content-Length: 0x5\r\n"), "400 content_length"},
	{"6.3", get("Content-Length: 5.0\r\n"), "400 content_length"},
	{"6.3", get("Content-Length: 5e1\r\n"), "400 content_length"},
	{"6.3", get("Content-Length: 1_0\r\n"), "400 content_length"},
	{"6.3", get("Content-Length:\r\n"), "400 content_length"},
	{"6.3", get("Content-Length: \xd9\xa5\r\n"), "400 content_length"},
	{"6.3", get("Content-Length: \"5\"\r\n"), "400 content_length"},
	{"6.3", get("Content-Length: 5\r\nContent-Length: 5\r\n"), "400 content_length_repeated"},
	{"6.3", get("Content-Length: 5\r\ncontent-length: 6\r\n"), "400 content_length_repeated"},
	{"6.3", get("Content-Length: 0\r\nContent-Length: 0\r\n"), "400 content_length_repeated"},
	{"6.3", get("Content-Length : 5\r\n"), "400 space_before_colon"},
	{"6.3", get("Content_Length: 5\r\n"), plain}, // another field; its twin-stripping is not ours
	{"6.1", get("Transfer-Encoding: chunked\r\n"), "GET origin / host=a 1.1 chunked -1 keep"},
	{"6.1", get("transfer-encoding:\tChunKed \r\n"), "GET origin / host=a 1.1 chunked -1 keep"},
	{"6.1", get("Transfer-Encoding: gzip\r\n"), "400 transfer_encoding_invalid"},
	{"6.1", get("Transfer-Encoding: gzip, chunked\r\n"), "501 transfer_encoding"},
	{"6.1", get("Transfer-Encoding: chunked, gzip\r\n"), "400 transfer_encoding_invalid"},
	{"6.1", get("Transfer-Encoding: chunked, chunked\r\n"), "400 transfer_encoding_invalid"},
	{"6.1", get("Transfer-Encoding: chunked,\r\n"), "400 transfer_encoding_invalid"},
	{"6.1", get("Transfer-Encoding: ,chunked\r\n"), "400 transfer_encoding_invalid"},
	{"6.1", get("Transfer-Encoding: chunked;q=1\r\n"), "400 transfer_encoding_invalid"},
	{"6.1", get("Transfer-Encoding: \"chunked\"\r\n"), "400 transfer_encoding_invalid"},
	{"6.1", get("Transfer-Encoding: xchunked\r\n"), "400 transfer_encoding_invalid"},
	{"6.1", get("Transfer-Encoding: identity\r\n"), "400 transfer_encoding_invalid"},
	{"6.1", get("Transfer-Encoding: chun ked\r\n"), "400 transfer_encoding_invalid"},
	{"6.1", get("Transfer-Encoding:\r\n"), "400 transfer_encoding_invalid"},
	{"6.1", get("Transfer-Encoding: \x0bchunked\r\n"), "400 control_byte"},
	{"6.1", get("Transfer-Encoding: chunked\x00\r\n"), "400 control_byte"},
	{"6.1", get("Transfer-Encoding : chunked\r\n"), "400 space_before_colon"},
	{"6.1", get(" Transfer-Encoding: chunked\r\n"), "400 obs_fold"},
	{"6.1", get("Transfer-Encoding:\r\n chunked\r\n"), "400 transfer_encoding_invalid"},
	{"6.1", get("A: b\nTransfer-Encoding: chunked\r\n"), "400 bare_lf"},
	{"6.1", get("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), "400 transfer_encoding_repeated"},
	{"6.1", get("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"), "400 transfer_encoding_repeated"},
	{"6.1", get("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), "400 length_and_transfer_encoding"},
	{"6.1", get("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), "400 length_and_transfer_encoding"},
	{"6.1", get("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n"), "400 length_and_transfer_encoding"},
	{"6.1", get10("Transfer-Encoding: chunked\r\n"), "400 transfer_encoding_http10"},
	{"6.1", get10("Content-Length: 3\r\n"), "GET origin / host= 1.0 length 3"},

	// Connection, upgrade, expectation.
	{"9.3", get("Connection: close\r\n"), "GET origin / host=a 1.1 none 0"},
	{"9.3", get("Connection: CLOSE , x\r\n"), "GET origin / host=a 1.1 none 0"},
	{"9.3", get("Connection: keep-alive\r\n"), plain},
	{"9.3", get("Connection: keep-alive, close\r\n"), "GET origin / host=a 1.1 none 0"},
	{"9.3", get("Connection: x\r\nConnection: close\r\n"), "GET origin / host=a 1.1 none 0"},
	{"9.3", get("Connection: closed\r\n"), plain},
	{"9.3", get("Connection:\r\n"), plain},
	{"9.3", get("Connection: ,, ,\r\n"), plain},
	{"9.3", get10("Connection: keep-alive\r\n"), "GET origin / host= 1.0 none 0 keep"},
	{"9.3", get10("Connection: Keep-Alive, close\r\n"), "GET origin / host= 1.0 none 0"},
	{"9110 7.6.1", get("Connection: a b\r\n"), "400 connection"},
	{"9110 7.6.1", get("Connection: \"close\"\r\n"), "400 connection"},
	{"9110 7.6.1", get("Connection: close;x\r\n"), "400 connection"},
	{"9110 7.6.1", get("Connection: host\r\n"), "400 connection"},
	{"9110 7.6.1", get("Connection: Content-Length\r\nContent-Length: 5\r\n"), "400 connection"},
	{"9110 7.6.1", get("Connection: Transfer-Encoding\r\n"), "400 connection"},
	{"9110 7.6.1", get("Connection: close, authorization\r\n"), "400 connection"},
	{"9110 7.6.1", get("Connection: X-Forwarded-For\r\n"), "400 connection"},
	{"9110 7.6.1", get("Connection: cookie\r\n"), "400 connection"},
	{"9110 7.6.1", get("Connection: " + strings.Repeat("a,", 15) + "a\r\n"), plain},
	{"9110 7.6.1", get("Connection: " + strings.Repeat("a,", 16) + "a\r\n"), "400 connection"},
	{"9110 7.6.1", get("Connection: " + strings.Repeat(",", 17) + "\r\n"), "400 connection"},
	{"9110 7.8", get("Connection: upgrade\r\nUpgrade: websocket\r\n"), plain + " upgrade=websocket"},
	{"9110 7.8", get("Connection: keep-alive, Upgrade\r\nUpgrade: a/1, b\r\n"), plain + " upgrade=a/1, b"},
	{"9110 7.8", get("Upgrade: websocket\r\n"), plain},
	{"9110 7.8", get("Connection: upgrade\r\n"), plain},
	{"9110 7.8", get10("Connection: upgrade\r\nUpgrade: websocket\r\n"), "GET origin / host= 1.0 none 0"},
	{"9110 7.8", get("Connection: upgrade\r\nUpgrade: a b\r\n"), "400 upgrade"},
	{"9110 7.8", get("Connection: upgrade\r\nUpgrade: a/\r\n"), "400 upgrade"},
	{"9110 7.8", get("Connection: upgrade\r\nUpgrade:\r\n"), "400 upgrade"},
	{"9110 7.8", get("Connection: upgrade\r\nUpgrade: a\r\nUpgrade: b\r\n"), "400 upgrade"},
	{"9110 10.1.1", get("Content-Length: 1\r\nExpect: 100-continue\r\n"), "GET origin / host=a 1.1 length 1 keep expect"},
	{"9110 10.1.1", get("Transfer-Encoding: chunked\r\nExpect: 100-Continue\r\n"), "GET origin / host=a 1.1 chunked -1 keep expect"},
	{"9110 10.1.1", get("Expect: 100-continue\r\n"), plain},
	{"9110 10.1.1", get10("Content-Length: 1\r\nExpect: 100-continue\r\n"), "GET origin / host= 1.0 length 1"},
	{"9110 10.1.1", get("Expect: 200-ok\r\n"), "417 expect"},
	{"9110 10.1.1", get("Expect:\r\n"), "417 expect"},
	{"9110 10.1.1", get("Expect: 100-continue, x\r\n"), "417 expect"},
	{"9110 10.1.4", get("TE: trailers\r\n"), plain + " trailers"},
	{"9110 10.1.4", get("TE: gzip;q=0.5, Trailers\r\n"), plain + " trailers"},
	{"9110 10.1.4", get("TE: deflate\r\n"), plain},

	// Incomplete.
	{"2", "", "incomplete"},
	{"2", "G", "incomplete"},
	{"2", "\r", "incomplete"},
	{"2", "\r\n", "incomplete"},
	{"2", "GET / HTTP/1.1\r\nHost: a\r\n", "incomplete"},
	{"2", "GET / HTTP/1.1\r\nHost: a\r\n\r", "incomplete"},
	{"2", "GET / HTTP/1.1\r\nHost: a\r", "incomplete"},

	// Limits (RFC 9112 section 3 and RFC 6585 section 5).
	{"3", line("GET /" + strings.Repeat("a", DefaultLine) + " HTTP/1.1"), "414 line_too_long"},
	{"3", "GET /" + strings.Repeat("a", DefaultLine), "414 line_too_long"},
	{"3", get("A: " + strings.Repeat("a", DefaultLine) + "\r\n"), "431 field_too_long"},
	{"3", "GET / HTTP/1.1\r\nHost: a\r\nA: " + strings.Repeat("a", DefaultLine), "431 field_too_long"},
	{"3", get(strings.Repeat("A: b\r\n", DefaultFields-1)), plain},
	{"3", get(strings.Repeat("A: b\r\n", DefaultFields)), "431 too_many_fields"},
	{"3", get(strings.Repeat("A: "+strings.Repeat("b", DefaultLine-8)+"\r\n", 5)), "431 head_too_large"},
}

func TestRequestTable(t *testing.T) {
	if len(requestCases) < 150 {
		t.Fatalf("%d cases", len(requestCases))
	}
	var r Request
	for _, c := range requestCases {
		n, err := r.Parse([]byte(c.raw), Limits{})
		got := outcome(n, err)
		if got == "" {
			got = digest(&r)
			if n != len(c.raw) {
				t.Errorf("RFC %s: %.60q: length %d of %d", c.section, c.raw, n, len(c.raw))
			}
		}
		if got != c.want {
			t.Errorf("RFC %s: %.80q\n got %s\nwant %s", c.section, c.raw, got, c.want)
		}
	}
}

// A head cut at any place is incomplete or the same fault, never another answer; and
// what follows a head is left alone.
func TestRequestPrefixesAndPipelining(t *testing.T) {
	var r Request
	for _, c := range requestCases {
		n, _ := r.Parse([]byte(c.raw), Limits{})
		for i := 0; i < len(c.raw) && i < 400; i++ {
			m, err := r.Parse([]byte(c.raw[:i]), Limits{})
			if got := outcome(m, err); got != "incomplete" && (n != 0 || got != c.want) {
				t.Fatalf("%.60q cut at %d: %s, want incomplete or %s", c.raw, i, got, c.want)
			}
		}
		if n == 0 {
			continue
		}
		m, err := r.Parse([]byte(c.raw+"GET /next HTTP/1.1\r\n"), Limits{})
		if m != n || err != nil {
			t.Errorf("%.60q with more behind it: %d %v, want %d", c.raw, m, err, n)
		}
	}
}

func TestHopFields(t *testing.T) {
	raw := get("Connection: x-a, keep-alive, TE, upgrade\r\nX-A: 1\r\nX-B: 2\r\nx-a: 3\r\nTE: trailers\r\n" +
		"Keep-Alive: timeout=5\r\nProxy-Connection: close\r\nProxy-Authorization: x\r\nUpgrade: h2c\r\n" +
		"HTTP2-Settings: a\r\nTrailer: X-T\r\nAuthorization: y\r\nCookie: z\r\nTransfer-Encoding: chunked\r\n")
	want := map[string]bool{"Host": false, "Connection": true, "X-A": true, "x-a": true, "X-B": false, "TE": true,
		"Keep-Alive": true, "Proxy-Connection": true, "Proxy-Authorization": true, "Upgrade": true,
		"HTTP2-Settings": true, "Trailer": false, "Authorization": false, "Cookie": false, "Transfer-Encoding": true}
	var r Request
	if _, err := r.Parse([]byte(raw), Limits{}); err != nil {
		t.Fatal(err)
	}
	if len(r.Fields) != len(want) {
		t.Errorf("%d fields, want %d", len(r.Fields), len(want))
	}
	for _, f := range r.Fields {
		if got := f.Hop; got != want[string(f.Name)] {
			t.Errorf("%s: hop %v", f.Name, got)
		}
	}
	if v, n := r.Field("x-a"); string(v) != "1" || n != 2 {
		t.Errorf("Field(x-a) = %q, %d", v, n)
	}
	if v, n := r.Field("x-c"); v != nil || n != 0 {
		t.Errorf("Field(x-c) = %q, %d", v, n)
	}
}

func TestOwnLimits(t *testing.T) {
	for _, c := range []struct {
		lim  Limits
		raw  string
		want string
	}{
		{Limits{Head: len(get(""))}, get(""), ""},
		{Limits{Head: len(get("")) - 1}, get(""), "431 head_too_large"},
		{Limits{Line: len("GET / HTTP/1.1")}, get(""), ""},
		{Limits{Line: len("GET / HTTP/1.1") - 1}, get(""), "414 line_too_long"},
		{Limits{Line: len("GET / HTTP/1.1")}, get("Abcdef: 123456\r\n"), ""},
		{Limits{Line: len("GET / HTTP/1.1")}, get("Abcdef: 1234567\r\n"), "431 field_too_long"},
		{Limits{Fields: 1}, get(""), ""},
		{Limits{Fields: 1}, get("A: b\r\n"), "431 too_many_fields"},
		{Limits{Head: 4}, "GET ", "incomplete"},
		{Limits{Head: 4}, "GET /", "414 line_too_long"},
		{Limits{Head: 4}, "\r\nGET", "414 line_too_long"},
	} {
		var r Request
		n, err := r.Parse([]byte(c.raw), c.lim)
		if got := outcome(n, err); got != c.want {
			t.Errorf("%+v %q: %q, want %q", c.lim, c.raw, got, c.want)
		}
	}
}

func TestRequestAllocatesNothing(t *testing.T) {
	raw := []byte(get("User-Agent: x\r\nAccept: */*\r\nCookie: a=b\r\nConnection: keep-alive, x\r\nX: y\r\nContent-Length: 4\r\n"))
	var r Request
	var e Request
	if got := testing.AllocsPerRun(100, func() {
		if n, err := r.Parse(raw, Limits{}); n == 0 || err != nil {
			t.Fatal(n, err)
		}
		if _, err := e.Parse(raw[2:], Limits{Fields: 3}); err == nil {
			t.Fatal("accepted")
		}
	}); got != 0 {
		t.Errorf("%v allocations", got)
	}
}
