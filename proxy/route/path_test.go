package route

import (
	"bytes"
	"errors"
	"net/url"
	"path"
	"strings"
	"testing"
)

func TestNormalize(t *testing.T) {
	params := PathOptions{PathParameters: true}
	for _, tt := range []struct {
		raw  string
		opts PathOptions
		want string
		err  error
	}{
		{raw: "/", want: "/"},
		{raw: "/a/b.c", want: "/a/b.c"},
		{raw: "/a/", want: "/a/"},
		{raw: "//", want: "/"},
		{raw: "//a///b//", want: "/a/b/"},
		{raw: "/.", want: "/"},
		{raw: "/./", want: "/"},
		{raw: "/a/.", want: "/a/"},
		{raw: "/a/./b", want: "/a/b"},
		{raw: "/a/..", want: "/"},
		{raw: "/a/../", want: "/"},
		{raw: "/a/b/..", want: "/a/"},
		{raw: "/a//..", want: "/"},
		{raw: "/a/b/../../c", want: "/c"},
		{raw: "/...", want: "/..."},
		{raw: "/..a", want: "/..a"},
		{raw: "/.well-known/x", want: "/.well-known/x"},
		{raw: "/%61%2D%2e%5f%7e", want: "/a-._~"},
		{raw: "/a/%2e%2E/b", want: "/b"},
		{raw: "/a/.%2e/b", want: "/b"},
		{raw: "/%2e/b", want: "/b"},
		{raw: "/%c3%a9", want: "/%C3%A9"},
		{raw: "/%252e%252e/", want: "/%252e%252e/"},
		{raw: "/%252f", want: "/%252f"},
		{raw: "/%3b", want: "/%3B"},
		{raw: "/%20%0a", want: "/%20%0A"},
		{raw: "/[x]|^", want: "/[x]|^"},
		{raw: "/a;b=c", opts: params, want: "/a;b=c"},
		{raw: "/a;", opts: params, want: "/a;"},

		{raw: "", err: ErrPathNotAbsolute},
		{raw: "*", err: ErrPathNotAbsolute},
		{raw: "a/b", err: ErrPathNotAbsolute},
		{raw: "/a%2fb", err: ErrPathEncodedSlash},
		{raw: "/a%2Fb", err: ErrPathEncodedSlash},
		{raw: "/a%5cb", err: ErrPathBackslash},
		{raw: "/a\\b", err: ErrPathBackslash},
		{raw: "/a/..\\..", err: ErrPathBackslash},
		{raw: "/%00", err: ErrPathEncodedNUL},
		{raw: "/%", err: ErrPathPercent},
		{raw: "/%4", err: ErrPathPercent},
		{raw: "/%4g", err: ErrPathPercent},
		{raw: "/%g4", err: ErrPathPercent},
		{raw: "/%u002e", err: ErrPathPercent},
		{raw: "/..", err: ErrPathAboveRoot},
		{raw: "/../", err: ErrPathAboveRoot},
		{raw: "//..", err: ErrPathAboveRoot},
		{raw: "/a/../../b", err: ErrPathAboveRoot},
		{raw: "/%2e%2e/", err: ErrPathAboveRoot},
		{raw: "/a;b", err: ErrPathParameter},
		{raw: "/a/..;/b", err: ErrPathParameter},
		{raw: "/a/..;/b", opts: params, err: ErrPathDotWithTrailer},
		{raw: "/a/.;x/b", opts: params, err: ErrPathDotWithTrailer},
		{raw: "/a/%2e%2e;x", opts: params, err: ErrPathDotWithTrailer},
		{raw: "/a/..%3bx", err: ErrPathDotWithTrailer},
		{raw: "/a b", err: ErrPathByte},
		{raw: "/a\tb", err: ErrPathByte},
		{raw: "/a\x00", err: ErrPathByte},
		{raw: "/a\x7f", err: ErrPathByte},
		{raw: "/é", err: ErrPathByte},
		{raw: "/a?b", err: ErrPathByte},
		{raw: "/a#b", err: ErrPathByte},
		{raw: "/a\"b", err: ErrPathByte},
		{raw: "/a<b>", err: ErrPathByte},
		{raw: "/{a}", err: ErrPathByte},
	} {
		got, err := Normalize(nil, []byte(tt.raw), tt.opts)
		if string(got) != tt.want || err != tt.err {
			t.Errorf("Normalize(%q) = %q, %v; want %q, %v", tt.raw, got, err, tt.want, tt.err)
		}
		inPlace := []byte(tt.raw)
		if got, _ := Normalize(inPlace[:0], inPlace, tt.opts); string(got) != tt.want {
			t.Errorf("Normalize(%q) in place = %q, want %q", tt.raw, got, tt.want)
		}
	}
}

// Every byte, raw, is either kept or refused, never changed into another one.
func TestNormalizeEveryRawByte(t *testing.T) {
	const kept = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~!$&'()*+,=:@[]^|/"
	for c := range 256 {
		raw := []byte{'/', 'x', byte(c)}
		got, err := Normalize(nil, raw, PathOptions{})
		if want := strings.IndexByte(kept, byte(c)) >= 0; (err == nil) != want {
			t.Errorf("byte %q: err = %v, want kept = %v", byte(c), err, want)
		} else if want && !bytes.Equal(got, raw) {
			t.Errorf("byte %q became %q", byte(c), got)
		}
	}
}

func TestNormalizeReturnsNormalInputUncopied(t *testing.T) {
	raw := []byte("/a/b")
	got, _ := Normalize(make([]byte, 0, 16), raw, PathOptions{})
	if &got[0] != &raw[0] {
		t.Error("a path in normal form was copied")
	}
}

func TestNormalizeAllocatesNothing(t *testing.T) {
	dst, raw := make([]byte, 0, 64), []byte("/a/%62/../c//d")
	bad := []byte("/a/%2f")
	n := testing.AllocsPerRun(100, func() {
		_, _ = Normalize(dst, raw, PathOptions{})
		_, _ = Normalize(dst, bad, PathOptions{})
	})
	if n != 0 {
		t.Errorf("allocations = %v, want 0", n)
	}
}

// FuzzNormalize checks that the result is a fixed point, that it is never longer, that
// in-place work gives the same, and that net/url and path.Clean agree on what it means.
func FuzzNormalize(f *testing.F) {
	for _, s := range []string{"/", "/a/../b", "//a/./b/", "/%61%2e%C3%a9", "/a;b", "/..%3b/", "/%2e%2e/a", "/a//..", "/[x]"} {
		f.Add(s, false)
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, raw string, params bool) {
		opts := PathOptions{PathParameters: params}
		got, err := Normalize(nil, []byte(raw), opts)
		buf := []byte(raw)
		inPlace, err2 := Normalize(buf[:0], buf, opts)
		if !errors.Is(err2, err) || !bytes.Equal(got, inPlace) {
			t.Fatalf("%q: %q, %v; in place %q, %v", raw, got, err, inPlace, err2)
		}
		if err != nil {
			var pe PathError
			if !errors.As(err, &pe) || got != nil {
				t.Fatalf("%q: error %T, path %q", raw, err, got)
			}
			return
		}
		if len(got) > len(raw) {
			t.Fatalf("%q grew to %q", raw, got)
		}
		again, err := Normalize(nil, got, opts)
		if err != nil || !bytes.Equal(again, got) {
			t.Fatalf("%q: %q is no fixed point: %q, %v", raw, got, again, err)
		}
		decoded, err := url.PathUnescape(raw)
		if err != nil {
			t.Fatalf("%q accepted, net/url: %v", raw, err)
		}
		want := path.Clean(decoded)
		have, err := url.PathUnescape(string(got))
		if err != nil {
			t.Fatalf("%q: %q does not decode: %v", raw, got, err)
		}
		// path.Clean drops a trailing slash, which for us is a different path.
		if trimmed := strings.TrimSuffix(have, "/"); have != want && (trimmed != want || want == "/") {
			t.Fatalf("%q: %q, path.Clean says %q", raw, have, want)
		}
	})
}

func BenchmarkNormalize(b *testing.B) {
	for name, raw := range map[string]string{
		"normal": "/api/v1/users/4711/orders",
		"dots":   "/api/./v1//users/%34711/x/../orders",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			dst, raw := make([]byte, 0, 256), []byte(raw)
			for b.Loop() {
				if _, err := Normalize(dst, raw, PathOptions{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
