package authz

import (
	"net/netip"
	"testing"
)

// header gives values that alias the test's buffers, as a loop's do.
type header map[string][]byte

func (h header) Field(name string) ([]byte, int) {
	v, ok := h[name]
	if !ok {
		return nil, 0
	}
	return v, 2
}

// A clone is read on another goroutine while the loop reuses its buffers.
func TestCloneSharesNothingWithTheLoop(t *testing.T) {
	buf := []byte("host/path?query-key-other")
	authority := []byte("HOST:1")
	req := Request{
		Route: "r", Method: "GET", Source: netip.MustParseAddr("10.0.0.1"),
		Host: buf[:4], Path: buf[4:9], Query: buf[10:15], Authority: authority,
		Fields: header{"authorization": buf[16:19], "cookie": buf[20:]},
	}
	c := req.Clone("authorization", "x-api-key")
	for i := range buf {
		buf[i] = 'X'
	}
	authority[0] = 'X'
	if string(c.Authority) != "HOST:1" {
		t.Errorf("got authority %q", c.Authority)
	}
	if string(c.Host) != "host" || string(c.Path) != "/path" || string(c.Query) != "query" {
		t.Errorf("got %q %q %q", c.Host, c.Path, c.Query)
	}
	if c.Route != "r" || c.Method != "GET" || c.Source != req.Source {
		t.Errorf("got %+v", c)
	}
	if v, n := c.Fields.Field("authorization"); string(v) != "key" || n != 2 {
		t.Errorf("authorization %q, %d", v, n)
	}
	for _, name := range []string{"x-api-key", "cookie"} { // absent, and not asked for
		if v, n := c.Fields.Field(name); v != nil || n != 0 {
			t.Errorf("%s %q, %d", name, v, n)
		}
	}
}

func TestCloneOfATCPConnection(t *testing.T) {
	if c := (&Request{}).Clone("authorization"); c.Fields != nil {
		t.Errorf("got fields %v", c.Fields)
	}
}

func TestTheZeroVerdictRefuses(t *testing.T) {
	var d Decision
	if d.Verdict != Deny {
		t.Errorf("got %v", d.Verdict)
	}
	for v, want := range map[Verdict]string{Deny: "deny", Allow: "allow", Challenge: "challenge", Unavailable: "unavailable", Pending: "pending", 9: "invalid"} {
		if got := v.String(); got != want {
			t.Errorf("verdict %d: %s, want %s", v, got, want)
		}
	}
}
