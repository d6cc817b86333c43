package basic

import (
	"encoding/base64"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/sluiceproxy/sluice/authz"
)

func TestField(t *testing.T) {
	b64 := base64.StdEncoding.EncodeToString
	for _, c := range []struct {
		value string
		want  authz.Verdict
	}{
		{"", authz.Deny}, {"Bearer YTpi", authz.Deny}, {"BasicYTpi", authz.Deny}, {"Bas", authz.Deny},
		{"Basic YTpi", authz.Pending}, {"bASIC   YTpi ", authz.Pending}, {"Basic YTo=", authz.Pending},
		{"Basic", authz.Challenge}, {"Basic ", authz.Challenge}, {"Basic YTpi YTpi", authz.Challenge}, {"Basic YTo", authz.Challenge},
		{"Basic YTp=", authz.Challenge}, {"Basic YT\r\npi", authz.Challenge}, {"Basic YTpi,x=y", authz.Challenge}, {"Basic\tYTpi", authz.Challenge},
		{"Basic " + b64([]byte("nocolon")), authz.Challenge}, {"Basic " + b64([]byte(":p")), authz.Challenge},
		{"Basic " + b64([]byte("a:b\x00")), authz.Challenge}, {"Basic " + b64([]byte("a\n:b")), authz.Challenge}, {"Basic " + b64([]byte("a:\xff")), authz.Challenge},
		{encoded(strings.Repeat("u", maxUser) + ":" + strings.Repeat("p", maxPassword)), authz.Pending},
		{encoded(strings.Repeat("u", maxUser+1) + ":"), authz.Challenge}, {encoded("u:" + strings.Repeat("p", maxPassword+1)), authz.Challenge},
		{encoded(strings.Repeat("u", maxUser) + ":" + strings.Repeat("p", maxPassword+1)), authz.Challenge},
	} {
		var got credential
		if v := got.parse([]byte(c.value)); v != c.want {
			t.Errorf("%q: %v, want %v", c.value, v, c.want)
		}
	}
	var c credential
	if v := c.find(&authz.Request{Fields: header{"Basic YTpi", "Basic YTpi"}}); v != authz.Challenge {
		t.Errorf("two fields: %v", v)
	}
	if v := c.find(&authz.Request{Fields: header{}}); v != authz.Deny {
		t.Errorf("no field: %v", v)
	}
	if v := c.find(&authz.Request{}); v != authz.Deny {
		t.Errorf("no fields: %v", v)
	}
}

// FuzzField: what is taken is what the field says, and written back it is the same.
func FuzzField(f *testing.F) {
	for _, s := range []string{"Basic YTpi", "basic  YTo=", "Basic Og==", "Bearer x", encoded("ü:ö:x"), encoded(strings.Repeat("u", 255) + ":" + strings.Repeat("p", 513))} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		var c credential
		switch v := c.parse(value); v {
		case authz.Deny, authz.Challenge:
			return
		case authz.Pending:
		default:
			t.Fatal(v)
		}
		user, password := string(c.user()), string(c.password())
		if user == "" || len(user) > maxUser || len(password) > maxPassword || strings.Contains(user, ":") || !utf8.ValidString(user+password) {
			t.Fatalf("%q %q", user, password)
		}
		if strings.ContainsFunc(user+password, func(r rune) bool { return r < 0x80 && unicode.IsControl(r) }) {
			t.Fatalf("control characters: %q %q", user, password)
		}
		if back := strings.Fields(string(value)); len(back) != 2 || back[1] != base64.StdEncoding.EncodeToString([]byte(user+":"+password)) {
			t.Fatalf("%q is not %q:%q", value, user, password)
		}
	})
}
