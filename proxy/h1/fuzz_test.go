package h1

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"strings"
	"testing"
)

// Oracle: what we accept, net/http accepts, and it reads the same message, with the same
// body and trailers, and takes the same bytes for the next message.
func FuzzRequest(f *testing.F) {
	for _, c := range requestCases {
		f.Add([]byte(c.raw))
		f.Add([]byte(c.raw + "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\nGET /next HTTP/1.1\r\n"))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var r Request
		n, err := r.Parse(raw, Limits{})
		if n == 0 {
			return
		}
		if err != nil {
			t.Fatalf("%d with %v", n, err)
		}
		theirs, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(bytes.TrimPrefix(raw[:n], []byte("\r\n")))))
		if err != nil {
			if strings.Contains(err.Error(), "invalid URL escape") {
				return // "%zz" is for the path normaliser, which answers 400
			}
			t.Fatalf("accepted %q, net/http says %v", raw[:n], err)
		}
		if theirs.Method != string(r.Method) || theirs.RequestURI != string(r.Target) || theirs.ProtoMinor != int(r.Minor) {
			t.Errorf("%q: they read %s %s 1.%d", raw[:n], theirs.Method, theirs.RequestURI, theirs.ProtoMinor)
		}
		if theirs.Host != string(r.Host) {
			t.Errorf("%q: host %q, they read %q", raw[:n], r.Host, theirs.Host)
		}
		if r.Form != Authority && theirs.URL.RawQuery != string(r.Query) {
			t.Errorf("%q: query %q, they read %q", raw[:n], r.Query, theirs.URL.RawQuery)
		}
		if theirs.ContentLength != r.Length || (len(theirs.TransferEncoding) == 1) != r.Chunked {
			t.Errorf("%q: length %d, they read %d %v", raw[:n], r.Length, theirs.ContentLength, theirs.TransferEncoding)
		}
		if theirs.Close && r.KeepAlive {
			t.Errorf("%q: we keep alive, they close", raw[:n])
		}
		compareFields(t, r.Fields, theirs.Header)
		reparse(t, &r)
		compareRest(t, raw[n:], &r)
	})
}

// compareRest reads what follows a head both ways: body, trailers, and where it ends.
func compareRest(t *testing.T, rest []byte, r *Request) {
	ours, err := readWhole(r.Body, r.Length, rest)
	if err != nil {
		return // refused, or not complete: then nothing whole was forwarded
	}
	head := "POST / HTTP/1.1\r\nHost: a\r\n\r\n"
	switch r.Body {
	case BodyChunked:
		head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
	case BodyLength:
		head = string(AppendEnd(AppendIntField([]byte("POST / HTTP/1.1\r\nHost: a\r\n"), "Content-Length", r.Length)))
	}
	in := bufio.NewReaderSize(strings.NewReader(head+string(rest)), 1<<20)
	theirs, err := http.ReadRequest(in)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(theirs.Body)
	if err != nil {
		if r.Body == BodyChunked && len(rest) > 4000 {
			return // theirs bounds a chunk line at 4 KiB; what we send on has no extensions
		}
		t.Fatalf("body %q accepted, net/http says %v", rest, err)
	}
	left, _ := io.ReadAll(in)
	if !bytes.Equal(body, ours.data) || !bytes.Equal(left, rest[ours.used:]) {
		t.Errorf("%q: body %q and then %q, they read %q and then %q", rest, ours.data, rest[ours.used:], body, left)
	}
	compareTrailers(t, ours.trailers, theirs.Trailer)
}

func compareTrailers(t *testing.T, fields []Field, theirs http.Header) {
	ours := http.Header{}
	for _, f := range fields {
		ours.Add(string(f.Name), string(f.Value))
	}
	for name := range theirs {
		if strings.Join(ours[name], "\x00") != strings.Join(theirs[name], "\x00") {
			t.Errorf("trailer %s: %q, they read %q", name, ours[name], theirs[name])
		}
	}
	for name := range ours {
		if theirs[name] == nil {
			t.Errorf("trailer %s: %q, they read nothing", name, ours[name])
		}
	}
}

// compareFields checks that both saw the same values in the same order. net/http takes
// some fields out of the map, which is not compared.
func compareFields(t *testing.T, fields []Field, theirs http.Header) {
	ours := http.Header{}
	for _, f := range fields {
		ours.Add(string(f.Name), string(f.Value))
	}
	for name, values := range theirs {
		if strings.Join(ours[name], "\x00") != strings.Join(values, "\x00") {
			t.Errorf("%s: %q, they read %q", name, ours[name], values)
		}
	}
	for name := range ours {
		switch name {
		case "Host", "Transfer-Encoding", "Trailer", "Content-Length", "Connection":
		default:
			if theirs[name] == nil {
				t.Errorf("%s: %q, they read nothing", name, ours[name])
			}
		}
	}
}

// reparse writes the request as a proxy would and reads it again: what we send parses
// to what we decided on.
func reparse(t *testing.T, r *Request) {
	if r.Form == Authority || r.Host == nil {
		return
	}
	out := AppendRequestLine(nil, r.Method, r.Path, r.Query, r.HasQuery)
	out = AppendField(out, "Host", r.Host)
	for _, f := range r.Fields {
		if !f.Hop && f.ID != Host {
			out = AppendField(out, f.Name, f.Value)
		}
	}
	if r.Chunked {
		out = AppendField(out, "Transfer-Encoding", "chunked")
	}
	out = AppendEnd(out)
	var again Request
	n, err := again.Parse(out, Limits{Head: 2 * DefaultHead, Line: 2 * DefaultLine})
	if err != nil || n != len(out) {
		t.Fatalf("what we send is refused: %q: %d %v", out, n, err)
	}
	if !bytes.Equal(again.Path, r.Path) || !bytes.Equal(again.Query, r.Query) || again.HasQuery != r.HasQuery ||
		again.Length != r.Length || again.Body != r.Body || !bytes.Equal(again.Host, r.Host) {
		t.Errorf("sent %q, reads as %+v", out, again)
	}
}

// Oracle: what we accept, net/http accepts, with the same status, fields and body.
func FuzzResponse(f *testing.F) {
	for _, c := range responseCases {
		raw, toHEAD := strings.CutPrefix(c.raw, "!")
		f.Add([]byte(raw+"5\r\nhello\r\n0\r\n\r\n"), toHEAD)
		f.Add([]byte(raw+"1\r\na\r\n0\r\nX-Sum: 1\r\n\r\nHTTP/1.1 200 OK\r\n"), toHEAD)
	}
	f.Fuzz(func(t *testing.T, raw []byte, toHEAD bool) {
		var r Response
		n, err := r.Parse(raw, toHEAD, Limits{})
		if n == 0 {
			return
		}
		if err != nil {
			t.Fatalf("%d with %v", n, err)
		}
		method := "GET"
		if toHEAD {
			method = "HEAD"
		}
		in := bufio.NewReaderSize(bytes.NewReader(raw), 1<<20)
		theirs, err := http.ReadResponse(in, &http.Request{Method: method})
		if err != nil {
			t.Fatalf("accepted %q, net/http says %v", raw[:n], err)
		}
		if theirs.StatusCode != r.Status || theirs.ProtoMinor != int(r.Minor) {
			t.Errorf("%q: they read %s 1.%d", raw[:n], theirs.Status, theirs.ProtoMinor)
		}
		compareFields(t, r.Fields, theirs.Header)
		if theirs.Close && r.KeepAlive {
			t.Errorf("%q: we keep alive, they close", raw[:n])
		}
		if r.Status < 200 {
			return // net/http gives a 1xx a body that its own client never reads
		}
		ours, errOurs := readWhole(r.Body, r.Length, raw[n:])
		body, errTheirs := io.ReadAll(theirs.Body)
		if errOurs != nil || errTheirs != nil && r.Body == BodyChunked && len(raw) > 4000 {
			return // refused; or a chunk line over 4 KiB, which theirs does not take
		}
		left, _ := io.ReadAll(in)
		if errTheirs != nil || !bytes.Equal(ours.data, body) || !bytes.Equal(left, raw[n+ours.used:]) {
			t.Errorf("%q: body %q, they read %q %v and then %q", raw, ours.data, body, errTheirs, left)
		}
		compareTrailers(t, ours.trailers, theirs.Trailer)
	})
}

// whole is a body that was read to its end.
type whole struct {
	data     []byte
	trailers []Field
	used     int // bytes of input
}

func readWhole(kind BodyKind, length int64, in []byte) (w whole, err error) {
	var b Body
	b.Reset(kind, length)
	for w.used < len(in) && !b.Done() {
		data, n, err := b.Next(in[w.used:])
		if err != nil {
			return w, err
		}
		w.data = append(w.data, data...)
		w.used += n
	}
	err = b.EOF()
	w.trailers = b.Trailers()
	return w, err
}

func readBody(kind BodyKind, length int64, in []byte) ([]byte, error) {
	w, err := readWhole(kind, length, in)
	return w.data, err
}

// Oracle: what we accept, the chunk reader of net/http reads to the same payload; and
// where the input is cut makes no difference.
func FuzzChunks(f *testing.F) {
	for _, c := range chunkCases {
		f.Add([]byte(c.raw), uint64(3))
	}
	f.Fuzz(func(t *testing.T, raw []byte, seed uint64) {
		whole, errWhole := readBody(BodyChunked, 0, raw)
		var b Body
		var pieces []byte
		var err error
		b.Reset(BodyChunked, 0)
		for in := raw; len(in) > 0 && !b.Done() && err == nil; {
			seed = seed*6364136223846793005 + 1442695040888963407
			var data []byte
			var n int
			data, n, err = b.Next(in[:min(len(in), 1+int(seed>>60))])
			if n == 0 && err == nil {
				t.Fatalf("%q: no progress at %q", raw, in)
			}
			pieces, in = append(pieces, data...), in[n:]
		}
		if err == nil {
			err = b.EOF()
		}
		if err != errWhole || !bytes.Equal(pieces, whole) {
			t.Fatalf("%q: whole %q %v, in pieces %q %v", raw, whole, errWhole, pieces, err)
		}
		if errWhole != nil {
			return
		}
		theirs, err := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(raw)))
		if err != nil || !bytes.Equal(theirs, whole) {
			t.Errorf("%q: %q, they read %q %v", raw, whole, theirs, err)
		}
		again, err := readBody(BodyChunked, 0, AppendLastChunk(AppendChunk(nil, whole), b.Trailers()))
		if err != nil || !bytes.Equal(again, whole) {
			t.Errorf("%q: written again it reads %q %v", raw, again, err)
		}
	})
}

// Oracle: net/netip, for the addresses that we check without it.
func FuzzIPLiterals(f *testing.F) {
	for _, s := range []string{"::", "::1", "1::", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "1::8",
		"1:2:3:4:5:6:1.2.3.4", "::1.2.3.4", "1.2.3.4", "01.2.3.4", "1.2.3.256", "12345::", ":1", "1:", "1:::2", "::1::",
		"1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:1.2.3.4", "::ffff:1.2.3", "fe80::1%eth0", "g::", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		addr, err := netip.ParseAddr(s)
		if got, want := validIPv6([]byte(s)), err == nil && addr.Is6() && addr.Zone() == ""; got != want {
			t.Errorf("validIPv6(%q) = %v, netip says %v", s, got, want)
		}
		if got, want := validIPv4([]byte(s)), err == nil && addr.Is4(); got != want {
			t.Errorf("validIPv4(%q) = %v, netip says %v", s, got, want)
		}
	})
}

// Oracle: Parse. The scanner never hides a whole head and never says "parse" for
// nothing, whatever the limits and however the bytes come.
func FuzzHeadScanner(f *testing.F) {
	for _, c := range requestCases {
		if len(c.raw) < 500 {
			f.Add([]byte(c.raw), uint64(9), uint16(64), uint16(32))
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte, seed uint64, head, longest uint16) {
		lim := Limits{Head: int(head), Line: int(longest)}
		var r Request
		var s HeadScanner
		for i := 0; i < len(raw); {
			seed = seed*6364136223846793005 + 1442695040888963407
			i = min(len(raw), i+1+int(seed>>60))
			n, err := r.Parse(raw[:i], lim)
			now := s.Next(raw[:i], lim)
			switch {
			case now && n == 0 && err == nil:
				t.Fatalf("%q: the scanner says parse, Parse says incomplete", raw[:i])
			case !now && n != 0:
				t.Fatalf("%q: the scanner hides a head", raw[:i])
			case n != 0 || err != nil:
				return
			}
		}
	})
}
