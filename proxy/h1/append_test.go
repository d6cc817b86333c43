package h1

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestAppendHead(t *testing.T) {
	var b []byte
	b = AppendRequestLine(b, []byte("GET"), []byte("/a"), nil, false)
	b = AppendRequestLine(b, []byte("GET"), []byte("/a"), nil, true)
	b = AppendRequestLine(b, []byte("PUT"), []byte("/a"), []byte("b=c"), true)
	b = AppendStatusLine(b, 404, "")
	b = AppendStatusLine(b, 299, []byte("fine"))
	b = AppendStatusLine(b, 299, "")
	b = AppendField(b, "A", []byte("b"))
	b = AppendField(b, []byte("C"), "d\r\nX: y\x00")
	b = AppendIntField(b, "N", 1234567890123)
	b = AppendDate(b, time.Date(2026, 11, 2, 3, 4, 5, 0, time.FixedZone("x", 3600)))
	b = AppendEnd(b)
	want := "GET /a HTTP/1.1\r\nGET /a? HTTP/1.1\r\nPUT /a?b=c HTTP/1.1\r\n" +
		"HTTP/1.1 404 Not Found\r\nHTTP/1.1 299 fine\r\nHTTP/1.1 299 Status\r\n" +
		"A: b\r\nC: d  X: y \r\nN: 1234567890123\r\nDate: Mon, 02 Nov 2026 02:04:05 GMT\r\n\r\n"
	if got := string(b); got != want {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

func TestAppendChunks(t *testing.T) {
	var b []byte
	b = AppendChunk(b, nil)
	b = AppendChunk(b, []byte("hello"))
	b = AppendChunk(b, bytes.Repeat([]byte("x"), 0x1f0))
	b = AppendLastChunk(b, []Field{{Name: []byte("A"), Value: []byte("b")}})
	want := "5\r\nhello\r\n1f0\r\n" + strings.Repeat("x", 0x1f0) + "\r\n0\r\nA: b\r\n\r\n"
	if got := string(b); got != want {
		t.Errorf("got %q", got)
	}
	if got := string(AppendChunkSize(nil, 1<<59)); got != "800000000000000\r\n" {
		t.Errorf("AppendChunkSize: %q", got)
	}
	defer func() {
		if recover() == nil {
			t.Error("a chunk of no bytes did not panic")
		}
	}()
	AppendChunkSize(nil, 0)
}

// Every answer of ours is a response that net/http and our own parser read alike.
func TestAppendErrorIsAResponse(t *testing.T) {
	for _, c := range []struct {
		e    ErrorResponse
		body string
	}{
		{ErrorResponse{Status: 503, Reason: "starting", Text: "the policy is not in force yet", Close: true,
			Fields: []Header{{"Retry-After", "1"}}}, "503 Service Unavailable: the policy is not in force yet\n"},
		{ErrorResponse{Status: 403}, "403 Forbidden\n"},
		{ErrorResponse{Err: errBareLF, Close: true}, "400 Bad Request: " + errBareLF.Detail + "\n"},
		{ErrorResponse{Err: errBareLF, Status: 421, Reason: "x", Text: "y"}, "421 Misdirected Request: y\n"},
		{ErrorResponse{Status: 404, Head: true, Date: AppendDate(nil, time.Unix(0, 0))}, ""},
	} {
		out := AppendError([]byte("keep"), c.e)[4:]
		var r Response
		n, err := r.Parse(out, c.e.Head, Limits{})
		if err != nil || n == 0 || r.KeepAlive == c.e.Close {
			t.Fatalf("%+v: %d %v keep-alive %v", c.e, n, err, r.KeepAlive)
		}
		if got := string(out[n:]); got != c.body {
			t.Errorf("%+v: body %q, want %q", c.e, got, c.body)
		}
		if !c.e.Head && r.Length != int64(len(c.body)) {
			t.Errorf("%+v: length %d", c.e, r.Length)
		}
		method := "GET"
		if c.e.Head {
			method = "HEAD"
		}
		theirs, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(out)), &http.Request{Method: method})
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(theirs.Body)
		if err != nil || string(body) != c.body || theirs.StatusCode != r.Status {
			t.Errorf("%+v: net/http reads %d %q %v", c.e, theirs.StatusCode, body, err)
		}
		for _, f := range c.e.Fields {
			if got := theirs.Header.Get(f.Name); got != f.Value {
				t.Errorf("%s: %q", f.Name, got)
			}
		}
	}
}

// What an answer carries cannot add a field or a second response.
func TestAppendErrorCannotBeSplit(t *testing.T) {
	evil := "a\r\nSet-Cookie: x=y\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"
	out := AppendError(nil, ErrorResponse{Status: 403, Reason: evil, Text: evil, Fields: []Header{{"X-A", evil}}})
	var r Response
	n, err := r.Parse(out, false, Limits{})
	if err != nil || int64(len(out)-n) != r.Length {
		t.Fatalf("%d of %d, length %d: %v", n, len(out), r.Length, err)
	}
	if _, count := r.Field("set-cookie"); count != 0 {
		t.Error("a field was smuggled in")
	}
}

// The metric labels and the status codes are closed sets.
func TestErrorsAreAClosedSet(t *testing.T) {
	seen := map[string]bool{}
	for i, reason := range Reasons() {
		e := allErrors[i]
		if seen[reason] || strings.Trim(reason, "abcdefghijklmnopqrstuvwxyz_10") != "" {
			t.Errorf("reason %q is repeated or not snake case", reason)
		}
		seen[reason] = true
		if StatusText(e.Status) == "Status" || e.Detail == "" || e.Error() != e.Detail {
			t.Errorf("%+v", e)
		}
		if bad := badResponses[e]; bad == nil || bad.Status != 502 || bad.Reason != reason {
			t.Errorf("%s has no twin for responses: %+v", reason, bad)
		}
	}
	for _, c := range requestCases {
		if _, reason, isError := strings.Cut(c.want, " "); isError && '3' < c.want[0] && c.want[0] <= '9' && !seen[reason] {
			t.Errorf("%s is not in Reasons", reason)
		}
	}
}

func TestAppendAllocatesNothing(t *testing.T) {
	buf := make([]byte, 0, 4096)
	date := AppendDate(nil, time.Unix(1e9, 0))
	fields := []Header{{"Retry-After", "1"}}
	if got := testing.AllocsPerRun(100, func() {
		b := AppendError(buf, ErrorResponse{Err: errBareLF, Fields: fields, Date: date, Close: true})
		b = AppendRequestLine(b, []byte("GET"), b[:1], nil, false)
		b = AppendStatusLine(b, 200, "OK")
		b = AppendField(b, "A", b[:3])
		_ = AppendChunk(b, b[:4])
	}); got != 0 {
		t.Errorf("%v allocations", got)
	}
}
