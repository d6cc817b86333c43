package proxy

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/proxy/engine"
)

func TestTraceID(t *testing.T) {
	const id, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	for text, good := range map[string]bool{
		"00-" + id + "-" + parent + "-01":                              true,
		"00-" + id + "-" + parent + "-00":                              true,
		"cc-" + id + "-" + parent + "-01-what-the-future-will-be-like": true,
		"cc-" + id + "-" + parent + "-01.what":                         false,
		"00-" + id + "-" + parent + "-01-more":                         false,
		"ff-" + id + "-" + parent + "-01":                              false,
		"00-" + strings.ToUpper(id) + "-" + parent + "-01":             false,
		"00-" + strings.Repeat("0", 32) + "-" + parent + "-01":         false,
		"00-" + id + "-" + strings.Repeat("0", 16) + "-01":             false,
		"00-" + id + "-" + parent + "-0":                               false,
		"00-" + id + "-" + parent + "-0x":                              false,
		"00_" + id + "-" + parent + "-01":                              false,
		"":                                                             false,
	} {
		var got [32]byte
		if ok := traceID(&got, []byte(text)); ok != good || ok && string(got[:]) != id {
			t.Errorf("%q: %v, %q", text, ok, got)
		}
	}
}

func TestTemplates(t *testing.T) {
	list, err := readTemplate(`{peer} - {user} "{method} {path}" {{x} {status}!`)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, s := range list {
		b.WriteString(s.text)
		if s.field != literal {
			b.WriteString("<" + accessFields[s.field] + ">")
		}
	}
	if got, want := b.String(), `<peer> - <user> "<method> <path>" {x} <status>!`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	for _, bad := range []string{"{nobody}", "{time", "{}", "a\nb", "{time}\r", "{time }"} {
		if _, err := readTemplate(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

// What a request does not have is one word of the line all the same: who splits it at blanks finds every field in its place.
func TestTemplateOfWhatThereIsNot(t *testing.T) {
	list, err := readTemplate("{method} {host} {path} {user} {status}")
	if err != nil {
		t.Fatal(err)
	}
	l := &loop{sh: clockOnly{}, Core: &Core{}, log: accessLog{access: access{sample: 1, template: list}}}
	x := l.newExchange()
	x.status = 503
	if got := string(x.appendTemplate(nil, 0)); got != "- - - - 503\n" {
		t.Errorf("%q", got)
	}
}

func TestRedactedAddresses(t *testing.T) {
	for from, want := range map[string]string{
		"192.0.2.77": "192.0.2.0/24", "::ffff:192.0.2.77": "192.0.2.0/24", "2001:db8:1:2::3": "2001:db8:1::/48", "fe80::1%eth0": "fe80::/48",
	} {
		if got := string(appendNetwork(nil, netip.MustParseAddr(from))); got != want {
			t.Errorf("%s: %s, want %s", from, got, want)
		}
	}
	if got := string(appendNetwork(nil, netip.Addr{})); got != "-" {
		t.Errorf("no address: %s", got)
	}
}

// clockOnly is a shard of which nothing but the clock is asked.
type clockOnly struct{ engine.Shard }

func (clockOnly) Now() time.Time { return time.Unix(1764370000, 0) }

func BenchmarkAccessRecord(b *testing.B) {
	l := &loop{sh: clockOnly{}, Core: &Core{}, log: accessLog{access: access{sample: 1}}}
	x := l.newExchange()
	x.d = &downstream{ln: &listener{cfg: ListenerConfig{Name: "web"}}}
	x.d.ends.remote = netip.MustParseAddrPort("192.0.2.7:4711")
	x.id.n = uint8(copy(x.id.buf[:], "4bf92f3577b34da6a3ce929d0e0e4736"))
	x.rec.set([]byte("GET"), []byte("app.example.com"), []byte("/some/path/of/usual/length"))
	x.status, x.route, x.bytesOut = 200, &Route{Name: "private"}, 1234
	b.ReportAllocs()
	for b.Loop() {
		l.log.buf = x.appendRecord(l.log.buf[:0], 1234567)
	}
}
