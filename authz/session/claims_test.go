package session

import (
	"bytes"
	"reflect"
	"testing"
	"time"
)

func decode(b []byte) (*Claims, error) {
	c := &Claims{}
	return c, c.decode(b)
}

func TestClaimsRoundTrip(t *testing.T) {
	full := claims("ann")
	full.ID, full.Began, full.Seen, full.Expires = "id", time.UnixMilli(1), time.UnixMilli(1700000000000), time.UnixMilli(maxMilli)
	other := full
	other.User = "another name"
	none := Claims{Began: time.UnixMilli(0), Seen: time.UnixMilli(0), Expires: time.UnixMilli(0)}
	for _, c := range []Claims{full, other, none} {
		got, err := decode(c.encode(nil))
		if err != nil {
			t.Fatal(err)
		}
		c.Provider = ""
		if !reflect.DeepEqual(*got, c) {
			t.Errorf("%+v, was %+v", *got, c)
		}
	}
	b := full.encode(nil)
	for i := range b {
		if _, err := decode(b[:i]); err == nil {
			t.Errorf("cut at %d, and taken", i)
		}
	}
	if _, err := decode(append(b, 0)); err == nil {
		t.Error("more follows, and is taken")
	}
}

// What is decoded is in the one form that encode gives it.
func FuzzDecode(f *testing.F) {
	c := claims("ann")
	f.Add(c.encode(nil))
	c.User = "u"
	f.Add(c.encode(nil))
	f.Add([]byte{1, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := decode(b)
		if err != nil {
			return
		}
		if again := c.encode(nil); !bytes.Equal(again, b) {
			t.Fatalf("%x is %+v, whose form is %x", b, c, again)
		}
	})
}
