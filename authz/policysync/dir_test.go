package policysync

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func put(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestPlainTakesOnlyYAML(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"b.yaml", "a.yaml", ".hidden.yaml", "notes.txt", "a.yaml~"} {
		put(t, filepath.Join(dir, name), name)
	}
	h, err := NewDir(dir, Plain).Head(t.Context())
	if err != nil || len(h.Objects) != 2 || h.Objects[0].Name != "a.yaml" || h.Objects[1].Name != "b.yaml" {
		t.Errorf("got %+v, %v", h, err)
	}
}

func TestPlainRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		make func(dir string)
		want string
	}{
		"a name that would be ignored": {func(dir string) { put(t, filepath.Join(dir, "deny.yml"), good) }, "deny.yml would be ignored; rename it to .yaml"},
		"a pipe": {func(dir string) {
			if err := syscall.Mkfifo(filepath.Join(dir, "p.yaml"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "p.yaml is not a regular file"},
		"a directory": {func(dir string) { put(t, filepath.Join(dir, "d.yaml", "x"), good) }, "d.yaml is not a regular file"},
		"a dangling link": {func(dir string) {
			if err := os.Symlink("nowhere", filepath.Join(dir, "l.yaml")); err != nil {
				t.Fatal(err)
			}
		}, "l.yaml: no such file"},
	} {
		dir := t.TempDir()
		put(t, filepath.Join(dir, "good.yaml"), good)
		tt.make(dir)
		if _, err := NewDir(dir, Plain).Head(t.Context()); err == nil || !strings.Contains(err.Error(), tt.want) || errors.Is(err, ErrNoPolicy) {
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		}
	}
}

// A directory that changed a moment ago may be half way through.
func TestPlainSaysWhenItIsUnsettled(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "p.yaml")
	put(t, file, good)
	d := NewDir(dir, Plain)
	written := time.Now()
	for _, tt := range []struct {
		age  time.Duration
		want bool
	}{{100 * time.Millisecond, true}, {300 * time.Millisecond, false}, {-time.Hour, false}} {
		if err := errors.Join(os.Chtimes(file, written, written), os.Chtimes(dir, written, written)); err != nil {
			t.Fatal(err)
		}
		d.now = func() time.Time { return written.Add(tt.age) }
		if h, err := d.Head(t.Context()); err != nil || h.Unsettled != tt.want {
			t.Errorf("age %v: unsettled %v, %v; want %v", tt.age, h.Unsettled, err, tt.want)
		}
	}
}

// A change within the resolution of time stamps and of the same length is still seen.
func TestPlainDoesNotTrustYoungStamps(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "p.yaml")
	d := NewDir(dir, Plain)
	stamp := time.Now()
	var last Version
	for i := range 3 {
		put(t, file, fmt.Sprint(i))
		if err := os.Chtimes(file, stamp, stamp); err != nil {
			t.Fatal(err)
		}
		h, err := d.Head(t.Context())
		if err != nil || h.Version.Hash == last.Hash {
			t.Errorf("change %d not seen: %v, %v", i, h.Version, err)
		}
		last = h.Version
	}
}

func TestParseManifest(t *testing.T) {
	hash := hashOf(nil)
	for raw, want := range map[string]string{
		"":                             "the manifest is not valid: EOF",
		"[]":                           "the manifest is not valid: json",
		`{"version":1,"objects":{}} x`: "the manifest is not valid: something follows it",
		`{"version":1,"objects":{},"signature":"x"}`: `the manifest is not valid: json: unknown field "signature"`,
		`{"objects":{}}`:                      "the manifest has no version",
		`{"version":-1,"objects":{}}`:         "the manifest is not valid",
		`{"version":2,"prev":2,"objects":{}}`: "the manifest's version 2 is not above prev 2",
		`{"version":1}`:                       "the manifest has no objects; an empty policy says {}",
		`{"version":1,"objects":{"a":"x"}}`:   `the manifest's object "a" has no SHA-256 hash in lower-case hex`,
		`{"version":1,"objects":{"a":"` + strings.ToUpper(hash) + `"}}`: `the manifest's object "a" has no SHA-256 hash in lower-case hex`,
		`{"version":1,"expires":"soon","objects":{}}`:                   "the manifest is not valid",
	} {
		if h, err := ParseManifest([]byte(raw)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %+v, %v; want %s", raw, h, err, want)
		}
	}
	raw := `{"version":7,"prev":6,"created":"2026-01-01T00:00:00Z","expires":"2027-01-01T00:00:00Z","objects":{"b":"` + hash + `","a":"` + hash + `"}}`
	h, err := ParseManifest([]byte(raw))
	if err != nil || h.Version != (Version{7, hashOf([]byte(raw))}) || !h.Ordered || h.Expires.Year() != 2027 || h.Objects[0] != (Object{"a", hash}) || len(h.Objects) != 2 {
		t.Errorf("got %+v, %v", h, err)
	}
}

func FuzzParseManifest(f *testing.F) {
	f.Add([]byte(`{"version":7,"prev":6,"objects":{"a":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		h, err := ParseManifest(raw)
		if err == nil && (h.Version.Number == 0 || !isHash(h.Version.Hash) || !h.Ordered) {
			t.Fatalf("%+v", h)
		}
	})
}

func TestLayoutText(t *testing.T) {
	for _, want := range []Layout{Plain, Objects} {
		var got Layout
		if err := got.UnmarshalText([]byte(want.String())); err != nil || got != want {
			t.Errorf("%v: %v, %v", want, got, err)
		}
	}
	if err := new(Layout).UnmarshalText([]byte("flat")); err == nil {
		t.Error("flat was taken for a layout")
	}
}

// until waits for a condition of the real file system and the real clock.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	late := time.After(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatal("not reached: " + what)
		}
	}
}

// The whole way, on a real directory: absent, broken, good, replaced, gone and back.
func TestSyncerOnADirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "policy")
	r := newRig(t, func(c *Config) { c.Source, c.Poll = NewDir(dir, Plain), time.Second })
	r.start(t)
	until(t, "the source's error", func() bool { return strings.Contains(r.Status().SourceError, "does not exist") })
	put(t, filepath.Join(dir, "p.yaml"), bad)
	until(t, "a rejection", func() bool { return r.Status().Rejected != nil })
	put(t, filepath.Join(dir, "p.yaml"), good)
	until(t, "the good policy", func() bool { return r.Status().Version != Version{} })
	first := r.Status().Version
	put(t, filepath.Join(dir, "p.yaml"), good2)
	until(t, "the next policy", func() bool { return r.Status().Version.Hash != first.Hash })
	next := r.Status().Version
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	until(t, "the source's error", func() bool { return r.Status().SourceError != "" })
	if got := r.Status().Version; got != next {
		t.Errorf("version %v in force, want %v", got, next)
	}
	put(t, filepath.Join(dir, "p.yaml"), good)
	until(t, "the policy again", func() bool { return r.Status().Version.Hash == first.Hash })
}
