package h2

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"golang.org/x/net/http2/hpack"
)

// Through thousands of heads, most of which push out what others put in, the peer's table stays what ours is; and what
// repeats is found in it.
func TestTablesStayTheSame(t *testing.T) {
	for most, least := range map[uint32]int{0: 0, 40: 0, 120: 0, 700: 100, defaultTable: 1000} { // heads that are found in it
		t.Run(fmt.Sprint(most), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(uint64(most), 7))
			c, _ := newServer(Config{})
			c.enc = newEncoder(c.pool.vocabulary(), most)
			dec := hpack.NewDecoder(defaultTable, nil)
			indexed := 0
			for range 3000 {
				var fields []Field
				for range 1 + rng.IntN(4) {
					n := rng.IntN(12)
					fields = append(fields, Field{Name: fmt.Appendf(nil, "x-%d", n), Value: fmt.Appendf(nil, "%0*d", 1+n*9, rng.IntN(3))})
				}
				c.out = nil
				c.sendHead(1, fields, false)
				block := blockOf(t, c.out)
				if len(block) == len(fields) {
					indexed++
				}
				got, err := dec.DecodeFull(block)
				if err != nil {
					t.Fatal(err)
				}
				for i, f := range got {
					if f.Name != string(fields[i].Name) || f.Value != string(fields[i].Value) {
						t.Fatalf("field %d is %s: %s, want %s: %s", i, f.Name, f.Value, fields[i].Name, fields[i].Value)
					}
				}
				if len(got) != len(fields) {
					t.Fatalf("%d fields of %d", len(got), len(fields))
				}
				if c.enc.table.size > int(most) {
					t.Fatalf("the table holds %d bytes of %d", c.enc.table.size, most)
				}
			}
			if indexed < least || most == 0 && indexed > 0 {
				t.Errorf("%d heads of 3000 were found in a table of %d", indexed, most)
			}
		})
	}
}

// A table that was to be smaller, and then as large as before, is signaled with both sizes, even if nothing was encoded meanwhile (RFC 7541
// section 4.2): a peer may insist on the smaller one.
func TestTableThatShrankAndGrewAgain(t *testing.T) {
	for _, encoded := range []bool{false, true} {
		c, _ := newServer(Config{})
		if encoded {
			c.sendHead(1, fieldsOf(":status=200"), false)
		}
		c.setting(settingTable, 0)
		c.setting(settingTable, 65536)
		for _, want := range []string{"\x20\x3f\xe1\x1f\x88", "\x88"} {
			c.out = nil
			c.sendHead(3, fieldsOf(":status=200"), false)
			if got := blockOf(t, c.out); string(got) != want {
				t.Errorf("encoded %v: a block of %x, want %x", encoded, got, want)
			}
		}
	}
}

// The pairs of the static table are what RFC 7541 appendix A says, as another decoder reads it.
func TestStaticPairs(t *testing.T) {
	found := 0
	for _, f := range []string{":method=GET", ":method=POST", ":path=/", ":path=/index.html", ":scheme=http", ":scheme=https", ":status=200",
		":status=204", ":status=206", ":status=304", ":status=400", ":status=404", ":status=500", ":status=201", ":method=HEAD", "accept=GET"} {
		field := fieldsOf(f)[0]
		i := staticPair(field.Name, field.Value)
		if i == 0 {
			continue
		}
		found++
		got, err := hpack.NewDecoder(defaultTable, nil).DecodeFull([]byte{0x80 | i})
		if err != nil || len(got) != 1 || got[0].Name != string(field.Name) || got[0].Value != string(field.Value) {
			t.Errorf("%s is %d: %v, %v", f, i, got, err)
		}
	}
	if found != 13 {
		t.Errorf("%d pairs", found)
	}
}
