package route

import (
	"bytes"
	"strings"
	"testing"
)

func TestNormalizeHost(t *testing.T) {
	label63 := strings.Repeat("a", 63)
	long253 := strings.Join([]string{label63, label63, label63, strings.Repeat("b", 61)}, ".")
	for _, tt := range []struct {
		in   string
		want string
		port int
		err  error
	}{
		{in: "example.com", want: "example.com"},
		{in: "EXAMPLE.Com", want: "example.com"},
		{in: "example.com.", want: "example.com"},
		{in: "Example.com.:8080", want: "example.com", port: 8080},
		{in: "example.com:", want: "example.com"},
		{in: "localhost", want: "localhost"},
		{in: "127.0.0.1:1", want: "127.0.0.1", port: 1},
		{in: "my_service-1:65535", want: "my_service-1", port: 65535},
		{in: "xn--bcher-kva.example", want: "xn--bcher-kva.example"},
		{in: "[::1]", want: "[::1]"},
		{in: "[::1]:443", want: "[::1]", port: 443},
		{in: "[2001:DB8:0:0::1]", want: "[2001:db8::1]"},
		{in: "[::ffff:1.2.3.4]:80", want: "[::ffff:1.2.3.4]", port: 80},
		{in: label63 + ".x", want: label63 + ".x"},
		{in: long253, want: long253},
		{in: long253 + ".", want: long253},

		{in: "", err: ErrHostEmpty},
		{in: ":80", err: ErrHostEmpty},
		{in: ".", err: ErrHostLabel},
		{in: "..", err: ErrHostLabel},
		{in: ".example.com", err: ErrHostLabel},
		{in: "example..com", err: ErrHostLabel},
		{in: "example.com..", err: ErrHostLabel},
		{in: label63 + "a.x", err: ErrHostLabel},
		{in: long253 + "b", err: ErrHostTooLong},
		{in: "user@example.com", err: ErrHostByte},
		{in: "user:pw@example.com", err: ErrHostPort},
		{in: "bücher.example", err: ErrHostByte},
		{in: "a b", err: ErrHostByte},
		{in: "a\x00", err: ErrHostByte},
		{in: "a/b", err: ErrHostByte},
		{in: "a%41", err: ErrHostByte},
		{in: "a,b", err: ErrHostByte},
		{in: "*.example.com", err: ErrHostByte},
		{in: "a:0", err: ErrHostPort},
		{in: "a:65536", err: ErrHostPort},
		{in: "a:000080", err: ErrHostPort},
		{in: "a:8o", err: ErrHostPort},
		{in: "a:-1", err: ErrHostPort},
		{in: "a:80:80", err: ErrHostPort},
		{in: "::1", err: ErrHostPort},
		{in: "[::1", err: ErrHostIPv6},
		{in: "[]", err: ErrHostIPv6},
		{in: "[1.2.3.4]", err: ErrHostIPv6},
		{in: "[::1%25lo]", err: ErrHostIPv6},
		{in: "[::1%lo]", err: ErrHostIPv6},
		{in: "[v1.x]", err: ErrHostIPv6},
		{in: "[::1]x", err: ErrHostPort},
		{in: "[::1]:x", err: ErrHostPort},
	} {
		host, port, err := NormalizeHost(nil, []byte(tt.in))
		if string(host) != tt.want || port != tt.port || err != tt.err {
			t.Errorf("NormalizeHost(%q) = %q, %d, %v; want %q, %d, %v", tt.in, host, port, err, tt.want, tt.port, tt.err)
		}
		buf := []byte(tt.in)
		if host, _, _ := NormalizeHost(buf[:0], buf); string(host) != tt.want {
			t.Errorf("NormalizeHost(%q) in place = %q, want %q", tt.in, host, tt.want)
		}
	}
}

func TestNormalizeHostAllocatesNothing(t *testing.T) {
	dst, in, bad := make([]byte, 0, 64), []byte("App.Example.com.:443"), []byte("a b")
	n := testing.AllocsPerRun(100, func() {
		_, _, _ = NormalizeHost(dst, in)
		_, _, _ = NormalizeHost(dst, bad)
	})
	if n != 0 {
		t.Errorf("allocations = %v, want 0", n)
	}
}

func TestParseHostPattern(t *testing.T) {
	for _, tt := range []struct{ in, want, err string }{
		{in: "*", want: "*"},
		{in: "Example.com", want: "example.com"},
		{in: "*.Example.com.", want: "*.example.com"},
		{in: "Bücher.example", want: "xn--bcher-kva.example"},
		{in: "*.bücher.example", want: "*.xn--bcher-kva.example"},
		{in: "[2001:DB8::1]", want: "[2001:db8::1]"},
		{in: "", err: `"": the host is empty`},
		{in: "*.", err: `"*.": the host is empty`},
		{in: "a.*.com", err: `"a.*.com": a wildcard is one whole first label, as in "*.example.com"`},
		{in: "*a.com", err: `"*a.com": a wildcard is one whole first label, as in "*.example.com"`},
		{in: "a.com:80", err: `"a.com:80": a route's host has no port`},
		{in: "a.com:", err: `"a.com:": a route's host has no port`},
		{in: "*.[::1]", err: `"*.[::1]": an address has no wildcard`},
		{in: "a/b", err: `"a/b": the host contains a byte that is not allowed`},
	} {
		got, err := ParseHostPattern(tt.in)
		text := ""
		if err != nil {
			text = err.Error()
		}
		if got != tt.want || text != tt.err {
			t.Errorf("ParseHostPattern(%q) = %q, %q; want %q, %q", tt.in, got, text, tt.want, tt.err)
		}
	}
}

func FuzzNormalizeHost(f *testing.F) {
	for _, s := range []string{"a.b:80", "[::1]:443", "A.", "[::ffff:1.2.3.4]", "a..b", ":1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		host, _, err := NormalizeHost(nil, []byte(in))
		if err != nil {
			return
		}
		again, port, err := NormalizeHost(nil, host)
		if err != nil || port != 0 || !bytes.Equal(again, host) {
			t.Fatalf("%q: %q is no fixed point: %q, %d, %v", in, host, again, port, err)
		}
		if pattern, err := ParseHostPattern(string(host)); err != nil || pattern != string(host) {
			t.Fatalf("%q: the configured form of %q is %q, %v", in, host, pattern, err)
		}
	})
}
