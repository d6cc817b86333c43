package session

import (
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluiceproxy/sluice/authz"
)

// A replica that starts while a key is added to the end of the file goes on with the first, which all others know.
func TestWhoStartsSealsByTheFirst(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys")
	write(t, file, keyA+keyB) // just now
	r := NewRing(file)
	if _, err := r.Load(); err != nil {
		t.Fatal(err)
	}
	if s := r.Status(); s.Seals != "a" || s.Next != "" {
		t.Errorf("it seals by %s, then by %q", s.Seals, s.Next)
	}
}

// A replica that is shown a session by a key which it has not read yet looks at the file, off the loop, and loses nobody. Who makes keys
// up has it look five times a second, and no more.
func TestUnknownKeysHaveTheFileRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "keys")
		write(t, file, keyA)
		old := NewRing(file)
		if _, err := old.Load(); err != nil {
			t.Fatal(err)
		}
		k := New(Config{Ring: old})
		time.Sleep(rereadAfter)
		write(t, file, keyB+keyA) // in front, at once
		next := NewRing(file)     // a replica that starts now
		if _, err := next.Load(); err != nil {
			t.Fatal(err)
		}
		line := begin(t, New(Config{Ring: next}), claims("ann"))
		r := request(host, line)
		if _, v := k.Try("oidc", r); v != authz.Pending {
			t.Fatalf("a key that is not known: %v", v)
		}
		if id, v := k.Resolve("oidc", r); v != authz.Allow || id.User != "ann" {
			t.Fatalf("after a look at the file: %v", v)
		}
		if s := old.Status(); s.Keys != 2 || s.Seals != "a" { // it seals by the new key when all have read it
			t.Errorf("%+v", s)
		}
		made := request(host, strings.Replace(line, "v1.b.", "v1.zz.", 1))
		if _, v := k.Try("oidc", made); v != authz.Challenge {
			t.Errorf("a made up key has the file read at once again: %v", v)
		}
		time.Sleep(rereadAfter)
		if _, v := k.Try("oidc", made); v != authz.Pending {
			t.Errorf("a while later: %v", v)
		}
		if _, v := k.Resolve("oidc", made); v != authz.Challenge {
			t.Errorf("a made up key: %v", v)
		}
		if static(t, keyA).Stale() {
			t.Error("a ring without a file has something to be read")
		}
	})
}
