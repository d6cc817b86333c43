package oidc

import (
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestBack(t *testing.T) {
	for to, want := range map[string]bool{
		"/": true, "/a/b?c=d&e=%2F%2Fx": true, "/a//b": true, "/?u=https://evil.test": true, "/%2F/evil.test": true, "/.well-known/x": true, "/.sluicex": true,
		"": false, "a": false, "//evil.test": false, "///evil.test": false, `/\evil.test`: false, `\/evil.test`: false, `\\evil.test`: false, "https://evil.test": false, "https:evil.test": false,
		"/\t/evil.test": false, "/\n/evil.test": false, "\t//evil.test": false, " //evil.test": false, "/ /x": false, "/a\x00": false, "javascript:alert(1)": false, "/x#y": false, `/x\..\..\\evil`: false,
		"/\u00a0/evil.test": false, "/é": false, "/\x7f": false, "http:/evil.test": false, "@evil.test": false, "?x": false, "/.sluice/logout": false, "/.sluice/login?to=/": false,
		"/" + strings.Repeat("a", maxBack): false, "/" + strings.Repeat("a", maxBack-1): true, "/\r\nSet-Cookie: x": false, "/;/evil.test": true, "/..//evil.test": true, "/.//evil.test": true,
	} {
		if isBack(to) != want {
			t.Errorf("%q: %v", to, !want)
		}
	}
}

// browserResolves is where a browser goes that is led to a reference from a page of ours: the URL standard, as far as net/url has
// it not. Space and control characters around go, tab and line ends go anywhere, and a backslash is a slash.
func browserResolves(t *testing.T, ref string) (*url.URL, bool) {
	t.Helper()
	ref = strings.TrimFunc(ref, func(r rune) bool { return r <= ' ' })
	ref = strings.NewReplacer("\t", "", "\n", "", "\r", "", `\`, "/").Replace(ref)
	if cut := strings.IndexAny(ref, "?#"); cut >= 0 {
		ref = ref[:cut] // says nothing of the host
	}
	base, err := url.Parse("https://app.test/.sluice/callback")
	if err != nil {
		t.Fatal(err)
	}
	u, err := base.Parse(strings.ReplaceAll(ref, "%", "%25")) // browsers take any
	return u, err == nil
}

// What is taken for a way back leads nowhere else, whether the origin stands before it or not.
func FuzzBack(f *testing.F) {
	for _, s := range []string{"/", "/a?b#c", "//evil.test", `/\evil.test`, "/\t/evil.test", "https:/evil.test", "/%5cevil.test", "/..//evil.test", "/.sluice/login?to=//evil.test", " /x", "/%zz"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, to string) {
		if !isBack(to) {
			return
		}
		if strings.ContainsFunc(to, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
			t.Fatalf("%q is no field value", to)
		}
		for _, ref := range []string{to, "https://app.test" + to} {
			u, ok := browserResolves(t, ref)
			if !ok || u.Scheme != "https" || u.Host != "app.test" || u.User != nil {
				t.Fatalf("%q leads to %v", ref, u)
			}
		}
	})
}

// An attempt is read as it was written, and nothing else is read.
func FuzzAttempt(f *testing.F) {
	f.Add([]byte{})
	f.Add(newAttempt("oidc/corp", "/x?y", time.Unix(1e9, 0)).encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		at, err := decodeAttempt(b)
		if err != nil {
			return
		}
		if string(at.encode()) != string(b) || !isBack(at.to) {
			t.Fatalf("%x is read as %x", b, at.encode())
		}
	})
}
