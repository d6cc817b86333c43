package h1

import (
	"reflect"
	"testing"
)

// A clone says what its request said, after the input is gone.
func TestClone(t *testing.T) {
	const head = "POST http://a.example:80/p?q=1 HTTP/1.1\r\nHost: a.example:80\r\nConnection: upgrade, x-y\r\nUpgrade: foo\r\nX-Y: 1\r\nTransfer-Encoding: chunked\r\nEmpty:\r\n\r\n"
	in := []byte(head)
	var r, want Request
	if _, err := r.Parse(in, Limits{}); err != nil {
		t.Fatal(err)
	}
	if _, err := want.Parse([]byte(head), Limits{}); err != nil {
		t.Fatal(err)
	}
	c := r.Clone()
	clear(in)
	for i := range c.Fields { // nothing, and an empty slice, are the same value
		if len(c.Fields[i].Value) == 0 {
			c.Fields[i].Value, want.Fields[i].Value = nil, nil
		}
	}
	if !reflect.DeepEqual(*c, want) {
		t.Errorf("got  %+v\nwant %+v", *c, want)
	}
	c.Method = append(c.Method, "XYZ"...) // must not reach into what stands behind it
	if string(c.Target) != string(want.Target) {
		t.Errorf("target is %q after an append to the method", c.Target)
	}
}
