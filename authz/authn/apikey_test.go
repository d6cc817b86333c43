package authn

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluiceproxy/sluice/authz"
)

// fields is a request's header: values by lower-case name.
type fields map[string][]string

func (f fields) Field(name string) ([]byte, int) {
	if len(f[name]) == 0 {
		return nil, 0
	}
	return []byte(f[name][0]), len(f[name])
}

func sum(key string) string {
	d := sha256.Sum256([]byte(key))
	return hex.EncodeToString(d[:])
}

func keyFile(t testing.TB, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "keys.yaml")
	write(t, name, text)
	return name
}

func write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func twoKeys() string {
	return fmt.Sprintf(`keys:
- {id: ci, sha256: %s, user: u-ci, email: ci@example.com, groups: [deployers], claims: {team: [build]}}
- {id: old, sha256: %s, expires: 2026-01-01T00:00:00Z}
`, sum("key-1"), strings.ToUpper(sum("key-2")))
}

func loaded(t testing.TB, text string) *APIKeys {
	t.Helper()
	a := NewAPIKeys(APIKeyConfig{
		File: keyFile(t, text),
		Now:  func() time.Time { return time.Date(2025, 12, 31, 0, 0, 0, 0, time.UTC) },
	})
	if _, err := a.Load(); err != nil {
		t.Fatal(err)
	}
	return a
}

func TestCredentials(t *testing.T) {
	a := loaded(t, twoKeys())
	ci := &authz.Identity{Method: "api_key", User: "u-ci", Email: "ci@example.com", Groups: []string{"deployers"}, Claims: map[string][]string{"team": {"build"}}}
	old := &authz.Identity{Method: "api_key", User: "old"}
	for _, tt := range []struct {
		name   string
		fields fields
		id     *authz.Identity
		want   authz.Verdict
	}{
		{"none", fields{}, nil, authz.Deny},
		{"another scheme", fields{"authorization": {"Basic a2V5LTE="}}, nil, authz.Deny},
		{"a longer scheme", fields{"authorization": {"BearerX key-1"}}, nil, authz.Deny},
		{"empty authorization", fields{"authorization": {""}}, nil, authz.Deny},
		{"bearer", fields{"authorization": {"Bearer key-1"}}, ci, authz.Allow},
		{"bearer in capitals", fields{"authorization": {"BEARER  key-1"}}, ci, authz.Allow},
		{"header", fields{"x-api-key": {"key-1"}}, ci, authz.Allow},
		{"header beside another scheme", fields{"x-api-key": {"key-1"}, "authorization": {"Basic x"}}, ci, authz.Allow},
		{"both, the same", fields{"x-api-key": {"key-1"}, "authorization": {"Bearer key-1"}}, ci, authz.Allow},
		{"the user is the id", fields{"x-api-key": {"key-2"}}, old, authz.Allow},

		{"unknown", fields{"x-api-key": {"key-3"}}, nil, authz.Challenge},
		{"the digest is no key", fields{"x-api-key": {sum("key-1")}}, nil, authz.Challenge},
		{"case matters", fields{"x-api-key": {"KEY-1"}}, nil, authz.Challenge},
		{"bearer alone", fields{"authorization": {"Bearer"}}, nil, authz.Challenge},
		{"bearer and blanks", fields{"authorization": {"Bearer   "}}, nil, authz.Challenge},
		{"bearer and a tab", fields{"authorization": {"Bearer\tkey-1"}}, nil, authz.Challenge},
		{"two words", fields{"authorization": {"Bearer key-1 key-1"}}, nil, authz.Challenge},
		{"a list", fields{"authorization": {"Bearer key-1,key-1"}}, nil, authz.Challenge},
		{"quoted", fields{"x-api-key": {`"key-1"`}}, nil, authz.Challenge},
		{"empty header", fields{"x-api-key": {""}}, nil, authz.Challenge},
		{"control character", fields{"x-api-key": {"key-1\x00"}}, nil, authz.Challenge},
		{"not ASCII", fields{"x-api-key": {"kéy"}}, nil, authz.Challenge},
		{"too long", fields{"x-api-key": {strings.Repeat("k", 513)}}, nil, authz.Challenge},
		{"two headers", fields{"x-api-key": {"key-1", "key-1"}}, nil, authz.Challenge},
		{"two authorizations", fields{"authorization": {"Bearer key-1", "Basic x"}}, nil, authz.Challenge},
		{"both, different", fields{"x-api-key": {"key-1"}, "authorization": {"Bearer key-2"}}, nil, authz.Challenge},
		{"good header, empty bearer", fields{"x-api-key": {"key-1"}, "authorization": {"Bearer "}}, nil, authz.Challenge},
	} {
		req := &authz.Request{Fields: tt.fields}
		for _, ask := range []func(*authz.Request) (*authz.Identity, authz.Verdict){a.Try, a.Resolve} {
			if id, v := ask(req); v != tt.want || !reflect.DeepEqual(id, tt.id) {
				t.Errorf("%s: %+v, %v; want %+v, %v", tt.name, id, v, tt.id, tt.want)
			}
		}
	}
	if id, v := a.Try(&authz.Request{}); id != nil || v != authz.Deny {
		t.Errorf("without fields: %v, %v", id, v)
	}
}

func TestKeysExpire(t *testing.T) {
	now := time.Date(2025, 12, 31, 23, 59, 59, 0, time.UTC)
	a := NewAPIKeys(APIKeyConfig{File: keyFile(t, twoKeys()), Now: func() time.Time { return now }})
	if _, err := a.Load(); err != nil {
		t.Fatal(err)
	}
	req := &authz.Request{Fields: fields{"x-api-key": {"key-2"}}}
	if _, v := a.Try(req); v != authz.Allow {
		t.Errorf("before: %v", v)
	}
	now = now.Add(time.Second)
	if _, v := a.Try(req); v != authz.Challenge {
		t.Errorf("at the time: %v", v)
	}
}

func TestReload(t *testing.T) {
	a := loaded(t, twoKeys())
	key1, key3 := &authz.Request{Fields: fields{"x-api-key": {"key-1"}}}, &authz.Request{Fields: fields{"x-api-key": {"key-3"}}}
	if changed, err := a.Load(); changed || err != nil {
		t.Errorf("same file: %v, %v", changed, err)
	}
	write(t, a.config.File, "keys: [{id: x, sha256: nonsense}]")
	if changed, err := a.Load(); changed || err == nil {
		t.Errorf("bad file: %v, %v", changed, err)
	}
	if _, v := a.Try(key1); v != authz.Allow {
		t.Errorf("after a bad file: %v; the last good keys must stay", v)
	}
	if s := a.Status(); s.Keys != 2 || s.Err == nil || s.ErrSince.IsZero() || s.LoadedAt.IsZero() {
		t.Errorf("status %+v", s)
	}
	write(t, a.config.File, "keys: [{id: x, sha256: "+sum("key-3")+"}]")
	if changed, err := a.Load(); !changed || err != nil {
		t.Errorf("good file: %v, %v", changed, err)
	}
	if _, v := a.Try(key1); v != authz.Challenge {
		t.Errorf("removed key: %v", v)
	}
	if _, v := a.Try(key3); v != authz.Allow {
		t.Errorf("added key: %v", v)
	}
	if s := a.Status(); s.Keys != 1 || s.Err != nil || !s.ErrSince.IsZero() {
		t.Errorf("status %+v", s)
	}
	write(t, a.config.File, "keys: []")
	if changed, err := a.Load(); !changed || err != nil || a.Status().Keys != 0 {
		t.Errorf("no keys: %v, %v", changed, err)
	}
}

func TestBeforeTheFirstLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := NewAPIKeys(APIKeyConfig{File: keyFile(t, twoKeys())})
		req := &authz.Request{Fields: fields{"x-api-key": {"key-1"}}}
		if _, v := a.Try(&authz.Request{Fields: fields{}}); v != authz.Deny {
			t.Errorf("without a credential: %v", v)
		}
		if id, v := a.Try(req); id != nil || v != authz.Pending {
			t.Errorf("before: %v, %v", id, v)
		}
		start := time.Now()
		if id, v := a.Resolve(req); id != nil || v != authz.Unavailable || time.Since(start) != 2*time.Second {
			t.Errorf("never loaded: %v, %v after %v", id, v, time.Since(start))
		}
		var waiting sync.WaitGroup
		waiting.Go(func() {
			if id, v := a.Resolve(req); id == nil || v != authz.Allow {
				t.Errorf("waiting: %v, %v", id, v)
			}
		})
		synctest.Wait()
		if _, err := a.Load(); err != nil {
			t.Error(err)
		}
		waiting.Wait()
	})
}

func TestFirstLoadFails(t *testing.T) {
	a := NewAPIKeys(APIKeyConfig{File: filepath.Join(t.TempDir(), "none")})
	if _, err := a.Load(); err == nil {
		t.Fatal("no error")
	}
	req := &authz.Request{Fields: fields{"x-api-key": {"key-1"}}}
	for _, ask := range []func(*authz.Request) (*authz.Identity, authz.Verdict){a.Try, a.Resolve} {
		if id, v := ask(req); id != nil || v != authz.Unavailable {
			t.Errorf("%v, %v", id, v)
		}
	}
}

func TestKeyFileFaults(t *testing.T) {
	a, b := sum("a"), sum("b")
	for text, want := range map[string]string{
		"":                             `"keys" is required`,
		"keys: {}":                     `1:7 error [wrong-type] keys: a mapping where a list is expected`,
		"keys: [{sha256: " + a + "}]":  `1:8 error [required] keys[0]: "id" is required`,
		"keys: [{id: x}]":              `1:8 error [required] keys[0]: "sha256" is required`,
		"keys: [{id: x, sha256: abc}]": `1:8 error [bad-value] key "x": sha256: not 64 hex digits`,
		"keys: [{id: x, sha256: " + sum("") + "}]":                          `1:8 error [bad-value] key "x": sha256: the digest of an empty key`,
		"keys: [{id: x, key: secret, sha256: " + a + "}]":                   `1:16 error [unknown-key] unknown key "key" in keys[0]`,
		"keys:\n- {id: x, sha256: " + a + "}\n- {id: x, sha256: " + b + "}": `3:3 error [duplicate-name] key "x" is defined twice; first at keys.yaml:2:3`,
		"keys:\n- {id: x, sha256: " + a + "}\n- {id: y, sha256: " + a + "}": `3:3 error [duplicate-name] keys "x" and "y" are the same key`,
		"keys: [{id: x, sha256: " + a + ", expires: soon}]":                 `1:99 error [bad-value] keys[0].expires: "soon" is not a time such as "2027-01-31T00:00:00Z"`,
	} {
		set, err := parseKeys("keys.yaml", []byte(text))
		if set != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n got %v\nwant %s", text, err, want)
		}
	}
}

func TestTryAllocatesNothing(t *testing.T) {
	a := loaded(t, twoKeys())
	good := &authz.Request{Fields: rawFields("Bearer key-1")}
	bad := &authz.Request{Fields: rawFields("Bearer key-0")}
	n := testing.AllocsPerRun(100, func() {
		a.Try(good)
		a.Try(bad)
	})
	if n != 0 {
		t.Errorf("allocations = %v, want 0", n)
	}
}

// rawFields has an Authorization field and gives it without a copy.
type rawFields []byte

func (f rawFields) Field(name string) ([]byte, int) {
	if name == "authorization" {
		return f, 1
	}
	return nil, 0
}

// No credential, however broken, lets a request in, and none but an absent one is
// anonymous.
func FuzzCredential(f *testing.F) {
	for _, s := range []string{"", "Bearer x", "bearer", "Bearer key-1", "Basic x", "Bearer key-1 ", "Bearer\x00"} {
		f.Add(s, "", false)
		f.Add("", s, true)
	}
	a := loaded(f, twoKeys())
	f.Fuzz(func(t *testing.T, authorization, header string, both bool) {
		h := fields{"authorization": {authorization}}
		if both {
			h["x-api-key"] = []string{header}
		}
		_, v := a.Try(&authz.Request{Fields: h})
		if v == authz.Allow && !strings.Contains(authorization+header, "key-") {
			t.Fatalf("let in: %q", h)
		}
		if v == authz.Deny && (both || strings.EqualFold(strings.Trim(authorization, " \t"), "bearer")) {
			t.Fatalf("taken for anonymous: %q", h)
		}
		if v == authz.Pending || v == authz.Unavailable {
			t.Fatalf("%v: %q", v, h)
		}
	})
}

func BenchmarkTry(b *testing.B) {
	var text strings.Builder
	text.WriteString("keys:\n")
	for i := range 10_000 {
		fmt.Fprintf(&text, "- {id: k%d, sha256: %s}\n", i, sum(fmt.Sprint("key-", i)))
	}
	a := loaded(b, text.String())
	req := &authz.Request{Fields: rawFields("Bearer key-4711")}
	b.ReportAllocs()
	for b.Loop() {
		if _, v := a.Try(req); v != authz.Allow {
			b.Fatal(v)
		}
	}
}
