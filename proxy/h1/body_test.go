package h1

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// decode feeds in to a body in pieces of at most step bytes and writes down what came out.
func decode(b *Body, in string, step int) (payload, rest string, err error) {
	var out strings.Builder
	for !b.Done() && len(in) > 0 {
		data, n, err := b.Next([]byte(in[:min(step, len(in))]))
		out.Write(data)
		in = in[n:]
		if err != nil {
			return out.String(), in, err
		}
		if n == 0 {
			return out.String(), in, errors.New("no progress")
		}
	}
	return out.String(), in, nil
}

var chunkCases = []struct{ section, raw, want string }{
	{"7.1", "0\r\n\r\n", ""},
	{"7.1", "3\r\nabc\r\n0\r\n\r\n", "abc"},
	{"7.1", "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", "abcde"},
	{"7.1", "A\r\n0123456789\r\n0\r\n\r\n", "0123456789"},
	{"7.1", "a\r\n0123456789\r\n00\r\n\r\n", "0123456789"},
	{"7.1", "0003\r\na\r\n\r\n000\r\n\r\n", "a\r\n"},
	{"7.1", "0000000000000003\r\nabc\r\n0\r\n\r\n", "abc"},
	{"7.1", "00000000000000003\r\nabc\r\n0\r\n\r\n", "400 chunk_size"},
	{"7.1", "FFFFFFFFFFFFFFFF\r\n", "400 chunk_size"},
	{"7.1", "8000000000000000\r\n", "400 chunk_size"},
	{"7.1", "10000000000000003\r\nabc\r\n", "400 chunk_size"},
	{"7.1", "1000000000000001\r\n", "400 chunk_size"},
	{"7.1", "\r\n", "400 chunk_size"},
	{"7.1", "x\r\n", "400 chunk_size"},
	{"7.1", "0x3\r\nabc\r\n", "400 chunk_size"},
	{"7.1", "-3\r\nabc\r\n", "400 chunk_size"},
	{"7.1", "+3\r\nabc\r\n", "400 chunk_size"},
	{"7.1", "3_0\r\n", "400 chunk_size"},
	{"7.1", " 3\r\nabc\r\n", "400 chunk_size"},
	{"7.1", ";a\r\n", "400 chunk_size"},
	{"7.1", "3\nabc\r\n", "400 chunk_size"},
	{"7.1", "3\rabc\r\n", "400 chunk_extension"},
	{"7.1", "3 \r\nabc\r\n", "400 chunk_size"},
	{"7.1", "3\r\nabc0\r\n\r\n", "400 chunk_end"},
	{"7.1", "3\r\nabcd\r\n", "400 chunk_end"},
	{"7.1", "3\r\nabc\n0\r\n\r\n", "400 chunk_end"},
	{"7.1", "3\r\nabc\r0\r\n\r\n", "400 chunk_end"},
	{"7.1", "3\r\nab\r\n0\r\n\r\n", "400 chunk_end"},
	{"7.1.1", "3;a=b\r\nabc\r\n0;c\r\n\r\n", "abc"},
	{"7.1.1", "3;a=\"x;y\" \t\r\nabc\r\n0\r\n\r\n", "abc"},
	{"7.1.1", "3 ;a\r\nabc\r\n", "400 chunk_size"},
	{"7.1.1", "3\t;a\r\nabc\r\n", "400 chunk_size"},
	{"7.1.1", "3;a\nabc\r\n", "400 chunk_extension"},
	{"7.1.1", "3;a\r\r\nabc\r\n", "400 chunk_extension"},
	{"7.1.1", "3;a=\"\n\"\r\nabc\r\n", "400 chunk_extension"},
	{"7.1.1", "3;\x00\r\nabc\r\n", "400 chunk_extension"},
	{"7.1.1", "3 x;a\r\nabc\r\n", "400 chunk_size"},
	{"7.1.1", "3;" + strings.Repeat("a", maxExtension) + "\r\nabc\r\n", "400 chunk_extension"},
	{"7.1.1", strings.Repeat("1;"+strings.Repeat("a", 1000)+"\r\nx\r\n", 17), "400 chunk_extension"},
	{"7.1.2", "0\r\nX-A: b\r\n\r\n", " X-A=b"},
	{"7.1.2", "1\r\nx\r\n0\r\nA:b\r\nc-d:  e \r\n\r\n", "x A=b c-d=e"},
	{"7.1.2", "0\r\nA: b\n\r\n", "400 bare_lf"},
	{"7.1.2", "0\r\nA: b\r\n\n", "400 bare_lf"},
	{"7.1.2", "0\r\n\n", "400 bare_lf"},
	{"7.1.2", "0\r\nA : b\r\n\r\n", "400 space_before_colon"},
	{"7.1.2", "0\r\nA: b\r\n c\r\n\r\n", "400 obs_fold"},
	{"7.1.2", "0\r\nA\r\n\r\n", "400 no_colon"},
	{"7.1.2", "0\r\nA: \x00\r\n\r\n", "400 control_byte"},
	{"7.1.2", "0\r\nGET / HTTP/1.1\r\n\r\n", "400 space_before_colon"},
	{"7.1.2", "0\r\n" + strings.Repeat("A: b\r\n", maxTrailers+1) + "\r\n", "400 trailer_too_large"},
	{"7.1.2", "0\r\nA: " + strings.Repeat("b", maxTrailer), "400 trailer_too_large"},
	{"9110 6.5.1", "0\r\nContent-Length: 5\r\n\r\n", "400 trailer_forbidden"},
	{"9110 6.5.1", "0\r\ntransfer-encoding: chunked\r\n\r\n", "400 trailer_forbidden"},
	{"9110 6.5.1", "0\r\nHost: a\r\n\r\n", "400 trailer_forbidden"},
	{"9110 6.5.1", "0\r\nAuthorization: a\r\n\r\n", "400 trailer_forbidden"},
	{"9110 6.5.1", "0\r\nConnection: close\r\n\r\n", "400 trailer_forbidden"},
	{"9110 6.5.1", "0\r\nTrailer: a\r\n\r\n", "400 trailer_forbidden"},
	{"9110 6.5.1", "0\r\nCookie: a\r\n\r\n", "400 trailer_forbidden"},
	{"9110 6.5.1", "0\r\nSet-Cookie: a\r\n\r\n", "400 trailer_forbidden"},
	{"9110 6.5.1", "0\r\nIf-Match: a\r\n\r\n", "400 trailer_forbidden"},
	{"9110 6.5.1", "0\r\nX-Forwarded-For: a\r\n\r\n", "400 trailer_forbidden"},
	{"9110 6.5.1", "0\r\nX-Forwarded-Port: a\r\n\r\n", "400 trailer_forbidden"},
	{"9110 6.5.1", "0\r\nAge: 1\r\n\r\n", "400 trailer_forbidden"},
	{"9110 6.5.1", "0\r\nContent-Type: 1\r\n\r\n", "400 trailer_forbidden"},
}

// Every case gives the same answer whole, in pieces of each small size, and byte by byte.
func TestChunkTable(t *testing.T) {
	var b Body
	for _, c := range chunkCases {
		for step := 1; step <= len(c.raw) && step < 40 || step == 1<<20; step++ {
			b.Reset(BodyChunked, 0)
			got, rest, err := decode(&b, c.raw, step)
			if err != nil {
				got = outcome(0, err)
			} else if !b.Done() || b.EOF() != nil {
				got += " unfinished"
			} else if rest != "" {
				got += " rest " + rest
			}
			for _, f := range b.Trailers() {
				got += fmt.Sprintf(" %s=%s", f.Name, f.Value)
			}
			if got != c.want {
				t.Errorf("RFC %s: %.60q by %d\n got %.80s\nwant %s", c.section, c.raw, step, got, c.want)
			}
			if step == 39 {
				step = 1<<20 - 1
			}
		}
	}
}

// Bytes behind a body belong to the next message.
func TestBodyLeavesTheRest(t *testing.T) {
	const next = "GET / HTTP/1.1\r\n"
	for _, c := range []struct {
		kind    BodyKind
		length  int64
		raw     string
		payload string
	}{
		{BodyNone, 7, "", ""},
		{BodyLength, 0, "", ""},
		{BodyLength, 5, "hello", "hello"},
		{BodyChunked, 0, "5\r\nhello\r\n0\r\nA: b\r\n\r\n", "hello"},
	} {
		for step := 1; step < 64; step++ {
			var b Body
			b.Reset(c.kind, c.length)
			payload, rest, err := decode(&b, c.raw+next, step)
			if err != nil || payload != c.payload || rest != next || !b.Done() {
				t.Fatalf("%s by %d: %q, rest %q, %v", c.kind, step, payload, rest, err)
			}
			if data, n, err := b.Next([]byte(next)); data != nil || n != 0 || err != nil {
				t.Errorf("%s: Next after Done: %q %d %v", c.kind, data, n, err)
			}
		}
	}
}

func TestBodyEOF(t *testing.T) {
	for _, c := range []struct {
		kind BodyKind
		raw  string
		want string
	}{
		{BodyNone, "", ""},
		{BodyLength, "hello", ""},
		{BodyLength, "hell", "400 truncated"},
		{BodyLength, "", "400 truncated"},
		{BodyUntilClose, "", ""},
		{BodyUntilClose, "hello", ""},
		{BodyChunked, "", "400 truncated"},
		{BodyChunked, "5\r\nhello\r\n", "400 truncated"},
		{BodyChunked, "5\r\nhello\r\n0\r\n", "400 truncated"},
		{BodyChunked, "5\r\nhello\r\n0\r\nA: b\r\n", "400 truncated"},
		{BodyChunked, "5\r\nhello\r\n0\r\n\r", "400 truncated"},
		{BodyChunked, "5\r\nhello\r\n0\r\n\r\n", ""},
	} {
		var b Body
		b.Reset(c.kind, 5)
		if _, _, err := decode(&b, c.raw, 3); err != nil {
			t.Fatal(err)
		}
		err := b.EOF()
		if got := outcome(1, err); got != c.want {
			t.Errorf("%s %q: %q, want %q", c.kind, c.raw, got, c.want)
		}
		if err == nil && !b.Done() {
			t.Errorf("%s %q: not done", c.kind, c.raw)
		}
		if again := b.EOF(); again != err {
			t.Errorf("%s %q: second EOF says %v", c.kind, c.raw, again)
		}
	}
}

func TestBodyErrorIsFinal(t *testing.T) {
	var b Body
	b.Reset(BodyChunked, 0)
	_, _, err := b.Next([]byte("x"))
	_, n, again := b.Next([]byte("0\r\n\r\n"))
	if err == nil || again != err || n != 0 || b.Done() || b.EOF() != err {
		t.Errorf("%v, then %v and %d", err, again, n)
	}
	b.Reset(BodyChunked, 0)
	if _, _, err := b.Next([]byte("0\r\n\r\n")); err != nil || !b.Done() {
		t.Errorf("after Reset: %v", err)
	}
}

// What was carried past Next by Skip counts like what went through it.
func TestBodySkip(t *testing.T) {
	var b Body
	b.Reset(BodyLength, 5)
	b.Skip(3)
	if got := b.Remaining(); got != 2 || b.Done() {
		t.Errorf("length: %d remain", got)
	}
	b.Skip(2)
	if !b.Done() {
		t.Error("length: not done")
	}
	b.Reset(BodyChunked, 0)
	if _, n, err := b.Next([]byte("5\r\n")); n != 3 || err != nil || b.Remaining() != 5 {
		t.Fatalf("chunked: %d %v, %d remain", n, err, b.Remaining())
	}
	b.Skip(5)
	if _, n, err := b.Next([]byte("\r\n0\r\n\r\n")); n != 7 || err != nil || !b.Done() {
		t.Errorf("chunked: %d %v", n, err)
	}
	b.Reset(BodyUntilClose, 0)
	if b.Skip(9); b.Remaining() != -1 {
		t.Errorf("until close: %d remain", b.Remaining())
	}
	defer func() {
		if recover() == nil {
			t.Error("skipping past the end did not panic")
		}
	}()
	b.Reset(BodyLength, 1)
	b.Skip(2)
}

func TestBodyAllocatesNothing(t *testing.T) {
	in := []byte("5;x=y\r\nhello\r\n3\r\nabc\r\n0\r\nA: b\r\n\r\n")
	var b Body
	if got := testing.AllocsPerRun(100, func() {
		b.Reset(BodyChunked, 0)
		for rest := in; !b.Done(); {
			_, n, err := b.Next(rest)
			if err != nil || n == 0 {
				t.Fatal(n, err)
			}
			rest = rest[n:]
		}
	}); got != 0 {
		t.Errorf("%v allocations", got)
	}
}
