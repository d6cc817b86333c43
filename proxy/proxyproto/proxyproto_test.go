package proxyproto_test

import (
	"encoding/binary"
	"hash/crc32"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/sluiceproxy/sluice/proxy/proxyproto"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const sig = "\r\n\r\n\x00\r\nQUIT\n"

func v2(cmd, fam byte, body string) string {
	return sig + string([]byte{cmd, fam, byte(len(body) >> 8), byte(len(body))}) + body
}

const four = "\x0a\x00\x00\x01\xc0\x00\x02\x02\x12\x34\x01\xbb" // 10.0.0.1:4660 to 192.0.2.2:443

// sealed is a header with a right checksum behind its addresses.
func sealed() string {
	b := []byte(v2(0x21, 0x11, four+"\x03\x00\x04\x00\x00\x00\x00"))
	binary.BigEndian.PutUint32(b[len(b)-4:], crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
	return string(b)
}

var accepted = map[string]string{ // the source, or "" for none
	"PROXY TCP4 10.0.0.1 192.0.2.2 4660 443\r\n":                  "10.0.0.1:4660",
	"PROXY TCP4 255.255.255.255 0.0.0.0 65535 0\r\n":              "255.255.255.255:65535",
	"PROXY TCP6 2001:db8::1 ::1 1 2\r\n":                          "[2001:db8::1]:1",
	"PROXY TCP6 ::ffff:10.0.0.1 ::ffff:10.0.0.2 1 2\r\n":          "10.0.0.1:1",
	"PROXY UNKNOWN\r\n":                                           "",
	"PROXY UNKNOWN ffff:f...f:ffff 65535 whatever\r\n":            "",
	v2(0x20, 0x00, ""):                                            "",
	v2(0x20, 0x11, ""):                                            "",
	v2(0x20, 0x11, four):                                          "",
	v2(0x21, 0x00, "\x04\x00\x01x"):                               "",
	v2(0x21, 0x11, four):                                          "10.0.0.1:4660",
	v2(0x21, 0x11, four+"\x04\x00\x03abc\xe0\x00\x00"):            "10.0.0.1:4660",
	v2(0x21, 0x21, strings.Repeat("\x20", 32)+"\x00\x01\x00\x02"): "[2020:2020:2020:2020:2020:2020:2020:2020]:1",
	v2(0x21, 0x31, strings.Repeat("/", 216)):                      "",
	sealed():                                                      "10.0.0.1:4660",
}

var refused = []string{
	"GET / HTTP/1.1\r\n", "P\r\n", "PROXY\r\n", "PROXY \r\n", "PROXY  TCP4 1.1.1.1 2.2.2.2 1 2\r\n", "PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n",
	"PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n", "PROXY TCP4 1.1.1.1 2.2.2.2 1 2 3\r\n", "PROXY TCP4 1.1.1.1 2.2.2.2 01 2\r\n", "PROXY TCP4 1.1.1.1 2.2.2.2 +1 2\r\n",
	"PROXY TCP4 1.1.1.1 2.2.2.2 1 65536\r\n", "PROXY TCP4 1.1.1.01 2.2.2.2 1 2\r\n", "PROXY TCP4 ::1 ::2 1 2\r\n", "PROXY TCP6 1.1.1.1 2.2.2.2 1 2\r\n",
	"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n", "PROXY UDP4 1.1.1.1 2.2.2.2 1 2\r\n", "PROXY UNKNOWNX\r\n", "PROXY TCP4 1.1.1.1 2.2.2.2 1 2 \r\n",
	"proxy TCP4 1.1.1.1 2.2.2.2 1 2\r\n", "PROXY UNKNOWN " + strings.Repeat("x", 100), "PROXY TCP4\x00", "PROXY TCP4 1.1.1.1\r2.2.2.2 1 2\r\n",
	v2(0x22, 0x11, four), v2(0x11, 0x11, four), v2(0x21, 0x12, four), v2(0x21, 0x41, four), v2(0x21, 0x11, four[:11]), v2(0x21, 0x21, four),
	v2(0x21, 0x11, four+"\x04\x00"), v2(0x21, 0x11, four+"\x04\x00\x04abc"), v2(0x21, 0x11, four+"\x03\x00\x04abcd"), v2(0x21, 0x11, four+"\x03\x00\x01a"),
	v2(0x21, 0x11, four+strings.Repeat("x", 5000)), strings.Replace(sig, "QUIT", "QUIZ", 1) + "\x21\x11\x00\x0c" + four,
}

func TestAccepted(t *testing.T) {
	for in, want := range accepted {
		h, n, err := proxyproto.Parse([]byte(in + "GET /"))
		got := ""
		if h.Known() {
			got = h.Source.String()
		}
		if err != nil || n != len(in) || got != want {
			t.Errorf("%q: source %q, %d of %d bytes, %v; want %q", in, got, n, len(in), err, want)
		}
		for i := range len(in) { // whatever the pieces
			if _, n, err := proxyproto.Parse([]byte(in[:i])); n != 0 || err != nil {
				t.Errorf("%q: %d, %v", in[:i], n, err)
			}
		}
	}
}

func TestRefused(t *testing.T) {
	for _, in := range refused {
		if h, n, err := proxyproto.Parse([]byte(in)); err != proxyproto.ErrMalformed || n != 0 || h.Known() {
			t.Errorf("%q: %v, %d, %v", in, h, n, err)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	for _, pair := range [][2]string{{"10.0.0.1:1", "10.0.0.2:65535"}, {"[2001:db8::1]:0", "[::1]:80"}, {"10.0.0.1:1", "[2001:db8::2]:2"}, {"[2001:db8::2]:2", "10.0.0.1:1"}} {
		want := proxyproto.Header{Source: netip.MustParseAddrPort(pair[0]), Destination: netip.MustParseAddrPort(pair[1])}
		for _, version := range []int{1, 2} {
			b := proxyproto.Append([]byte("before"), version, want)[len("before"):]
			if h, n, err := proxyproto.Parse(b); err != nil || n != len(b) || h != want {
				t.Errorf("version %d of %v: %q reads as %v, %d, %v", version, want, b, h, n, err)
			}
			b = proxyproto.Append(nil, version, proxyproto.Header{})
			if h, n, err := proxyproto.Parse(b); err != nil || n != len(b) || h.Known() {
				t.Errorf("version %d of nothing: %q reads as %v, %d, %v", version, b, h, n, err)
			}
		}
	}
}

var lineShape = regexp.MustCompile(`^PROXY (TCP4|TCP6) ([0-9a-fA-F.:]+) ([0-9a-fA-F.:]+) (0|[1-9][0-9]*) (0|[1-9][0-9]*)\r\n`)

// oracle reads version 1 in another way: a pattern, package net and strconv.
func oracle(b []byte) (source string, ok bool) {
	m := lineShape.FindSubmatch(b)
	if m == nil || len(m[0]) > 107 {
		return "", false
	}
	var port [2]int
	for i := range port {
		ip := net.ParseIP(string(m[2+i]))
		dotted := !strings.Contains(string(m[2+i]), ":")
		if ip == nil || dotted != (string(m[1]) == "TCP4") {
			return "", false
		}
		n, err := strconv.Atoi(string(m[4+i]))
		if err != nil || n > 65535 {
			return "", false
		}
		port[i] = n
	}
	return net.JoinHostPort(net.ParseIP(string(m[2])).String(), strconv.Itoa(port[0])), true
}

func FuzzParse(f *testing.F) {
	for in := range accepted {
		f.Add([]byte(in + "tail"))
	}
	for _, in := range refused {
		f.Add([]byte(in))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, n, err := proxyproto.Parse(b)
		if n < 0 || n > len(b) || n > proxyproto.MaxHeader || err != nil && (n != 0 || h.Known()) || h.Source.IsValid() != h.Destination.IsValid() {
			t.Fatalf("%q: %v, %d, %v", b, h, n, err)
		}
		if want, ok := oracle(b); ok != (err == nil && n > 0 && b[0] == 'P' && h.Known()) || ok && h.Source.String() != want {
			t.Fatalf("%q: %v, %d, %v; the oracle says %q, %v", b, h, n, err, want, ok)
		}
		for i := range min(len(b), 300) { // no verdict but the last one's depends on the pieces
			_, part, perr := proxyproto.Parse(b[:i])
			if err == nil && i < n && (part != 0 || perr != nil) {
				t.Fatalf("%q: %d of its bytes: %d, %v", b, i, part, perr)
			}
			if perr != nil && err == nil {
				t.Fatalf("%q: refused after %d bytes and accepted with more", b, i)
			}
		}
		if n == 0 {
			if err == nil && len(b) >= proxyproto.MaxHeader {
				t.Fatalf("%d bytes and it wants more", len(b))
			}
			return
		}
		for _, version := range []int{1, 2} {
			out := proxyproto.Append(nil, version, h)
			if h2, n2, err := proxyproto.Parse(out); err != nil || n2 != len(out) || h2 != h {
				t.Fatalf("%v is written as %q, which reads as %v, %d, %v", h, out, h2, n2, err)
			}
		}
	})
}
