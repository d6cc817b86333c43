package session

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestSealRoundTrip(t *testing.T) {
	r := static(t, keyA+keyB)
	for _, plain := range []string{"", "x", strings.Repeat("long", 500)} {
		text, err := r.Seal([]byte("before"), "login", "h", []byte(plain))
		if err != nil || !bytes.HasPrefix(text, []byte("beforev1.a.")) {
			t.Fatalf("%q %v", text, err)
		}
		got, old, err := r.Open("login", "h", text[len("before"):])
		if string(got) != plain || old || err != nil {
			t.Errorf("%q %v %v", got, old, err)
		}
	}
}

// No bit of a value can be changed, and none of what it is for.
func TestTampering(t *testing.T) {
	r := static(t, keyA+keyB)
	text, err := r.Seal(nil, "login", "host", []byte("some plain text, of an odd length"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range text {
		for bit := range 8 {
			changed := bytes.Clone(text)
			changed[i] ^= 1 << bit
			if plain, _, err := r.Open("login", "host", changed); err == nil || plain != nil {
				t.Errorf("byte %d, bit %d: %q opens", i, bit, changed)
			}
		}
		for _, cut := range [][]byte{text[:i], append(bytes.Clone(text[:i]), text[i+1:]...)} {
			if _, _, err := r.Open("login", "host", cut); err == nil {
				t.Errorf("without byte %d: opens", i)
			}
		}
		for _, c := range []byte("A\n\r =") {
			more := append(append(bytes.Clone(text[:i]), c), text[i:]...)
			if _, _, err := r.Open("login", "host", more); err == nil {
				t.Errorf("with %q before byte %d: opens", c, i)
			}
		}
	}
	for _, c := range [][2]string{{"session", "host"}, {"login", "other"}, {"login", ""}, {"logi", "nhost"}, {"loginh", "ost"}, {"", "loginhost"}} {
		if _, _, err := r.Open(Purpose(c[0]), c[1], text); !errors.Is(err, ErrNotSealed) {
			t.Errorf("for %q: %v", c, err)
		}
	}
	renamed := bytes.Replace(text, []byte("v1.a."), []byte("v1.b."), 1)
	if _, _, err := r.Open("login", "host", renamed); !errors.Is(err, ErrNotSealed) {
		t.Errorf("by another key: %v", err)
	}
	if _, _, err := static(t, keyB).Open("login", "host", text); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("without its key: %v", err)
	}
	if _, old, err := static(t, keyB+keyA).Open("login", "host", text); err != nil || !old {
		t.Errorf("with its key second: %v %v", old, err)
	}
}

// sealed is "plain" for "login" on "host": what is sealed today opens tomorrow.
const sealed = "v1.a.Pw-zvfTAyjXKVzaCRW4CNl6Kaot13MqeJ-j3YV8bghUK"

func FuzzOpen(f *testing.F) {
	r := static(f, keyA+keyB)
	if got, _, err := r.Open("login", "host", []byte(sealed)); string(got) != "plain" || err != nil {
		f.Fatal(got, err)
	}
	f.Add("login", "host", sealed, []byte("plain"))
	f.Add("login", "other", sealed, []byte("plain"))
	f.Add("login", "host", "v1.a.", []byte{})
	f.Add("", "", "v1..", []byte("\x00"))
	f.Fuzz(func(t *testing.T, purpose, host, value string, plain []byte) {
		if len(purpose) > 100 {
			return // they come from code
		}
		got, _, err := r.Open(Purpose(purpose), host, []byte(value))
		if err == nil && (purpose != "login" || host != "host" || value != sealed || string(got) != "plain") {
			t.Fatalf("opened what was not sealed: %q for %q %q: %q", value, purpose, host, got)
		}
		if len(plain) > 3000 {
			return
		}
		text, err := r.Seal(nil, Purpose(purpose), host, plain)
		if err != nil {
			t.Fatal(err)
		}
		if back, old, err := r.Open(Purpose(purpose), host, text); err != nil || old || !bytes.Equal(back, plain) {
			t.Fatalf("%q, was %q: %v %v", back, plain, old, err)
		}
		if strings.Trim(string(text), "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.") != "" {
			t.Fatalf("no cookie value: %q", text)
		}
	})
}
