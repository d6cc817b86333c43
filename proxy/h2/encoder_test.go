package h2

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"golang.org/x/net/http2/hpack"
)

// FuzzEncoder: what we encode, another decoder reads as we meant it, through changes of the table at any time; and
// secrets are never indexed.
func FuzzEncoder(f *testing.F) {
	f.Add(uint64(1), []byte("content-type\x00text/html\x00x\x00y\x00cookie\x00secret\x00x\x00y\x00x\x00z"))
	f.Add(uint64(2), bytes.Repeat([]byte("a\x00b\x00"), 50))
	f.Add(uint64(3), append([]byte("long\x00"), bytes.Repeat([]byte{'v'}, 5000)...))
	f.Fuzz(func(t *testing.T, seed uint64, in []byte) {
		rng := rand.New(rand.NewPCG(seed, 3))
		parts := bytes.Split(in, []byte{0})
		c, _ := newServer(Config{})
		dec := hpack.NewDecoder(defaultTable, nil)
		table := uint32(defaultTable)
		c.enc = newEncoder(c.pool.vocabulary(), table)
		for range 6 {
			var fields []Field
			for range rng.IntN(20) {
				at := rng.IntN(len(parts))
				fields = append(fields, Field{Name: parts[at], Value: parts[(at+1)%len(parts)], Sensitive: rng.IntN(8) == 0})
			}
			for range rng.IntN(3) {
				table = rng.Uint32N(defaultTable + 1)
				c.enc.resize(table)
			}
			c.out = nil
			c.sendHead(1, fields, false)
			got, err := dec.DecodeFull(blockOf(t, c.out))
			if err != nil {
				t.Fatalf("table %d: %v", table, err)
			}
			if len(got) != len(fields) {
				t.Fatalf("%d fields of %d", len(got), len(fields))
			}
			for i, f := range fields {
				if want := string(lowerAll(f.Name)); got[i].Name != want || got[i].Value != string(f.Value) {
					t.Fatalf("field %d is %q: %q, want %q: %q", i, got[i].Name, got[i].Value, want, f.Value)
				}
				if (f.Sensitive || isSecret(lowerAll(f.Name))) && !got[i].Sensitive {
					t.Fatalf("%q may be indexed", got[i].Name)
				}
			}
		}
	})
}

func lowerAll(b []byte) []byte {
	b = bytes.Clone(b)
	for i := range b {
		b[i] = lower(b[i])
	}
	return b
}

// blockOf joins the fragments of HEADERS and CONTINUATION frames.
func blockOf(t *testing.T, b []byte) (block []byte) {
	t.Helper()
	for len(b) > 0 {
		f := parseFrame(b)
		if first := len(block) == 0; f.length > minMaxFrame || (f.typ == frameHeaders) != first && len(block) > 0 {
			t.Fatalf("frame %+v", f)
		}
		block = append(block, b[headerLen:headerLen+f.length]...)
		if b = b[headerLen+f.length:]; f.has(flagEndHeaders) != (len(b) == 0) {
			t.Fatal("END_HEADERS is not on the last frame, or not only there")
		}
	}
	return block
}

// What comes once is not indexed, and what comes again is one byte.
func TestIndexingOnSecondSight(t *testing.T) {
	c, _ := newServer(Config{})
	c.enc = newEncoder(c.pool.vocabulary(), defaultTable)
	size := func(fields ...string) int {
		c.out = nil
		c.sendHead(1, fieldsOf(fields...), false)
		return len(c.out) - headerLen
	}
	first, second, third := size("x-name=some value"), size("x-name=some value"), size("x-name=some value")
	if first < 15 || second < 10 || third != 1 {
		t.Errorf("%d, %d, %d bytes", first, second, third)
	}
	for range 100 {
		size("x-id="+string(rune('a'+third)), "etag=\"a\"")
	}
	if n := size("x-name=some value"); n != 1 {
		t.Errorf("what repeats was pushed out: %d bytes", n)
	}
	for i := range 1000 { // what never comes again pushes nothing out
		size("x-unique=" + string(rune(0x4e00+i)))
	}
	if n := size("x-name=some value"); n != 1 {
		t.Errorf("what repeats was pushed out by what does not: %d bytes", n)
	}
	for range 3 {
		if n := size("authorization=some secret"); n < 14 {
			t.Errorf("a secret is in the table: %d bytes", n)
		}
	}
}
