package session

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluiceproxy/sluice/authz"
)

func write(t testing.TB, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestRingFaults(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "keys: no key"},
		{"# nothing\n\n", "keys: no key"},
		{"a\n", "keys:1: a line is a name and a key"},
		{keyA + "\n# c\nb c d\n", "keys:4: a line is a name and a key"},
		{"a AAAA\n", "keys:1: not 32 bytes in base64"},
		{"a " + strings.Repeat("A", 43) + "=\n", "keys:1: 32 times the same byte"},
		{keyA + "a" + keyB[1:], `keys:2: key "a" is defined twice`},
		{keyA + "b" + keyA[1:], `keys:2: key "b" has been given before`},
		{"a.b" + keyA[1:], "keys:1: the name of a key"},
		{strings.Repeat("n", 17) + keyA[1:], "keys:1: the name of a key"},
		{strings.Repeat("#", maxRingFile+1), "keys: longer than"},
	} {
		r, err := Static(c.text)
		if err == nil || !strings.Contains(err.Error(), c.want) || r != nil {
			t.Errorf("%q: %v, want %s", c.text, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "YWFh") {
			t.Errorf("the error shows a key: %v", err)
		}
	}
	if _, err := Static("a\nb\n" + keyA + "c\n"); err == nil || strings.Count(err.Error(), "a line is a name") != 3 {
		t.Errorf("not all faults: %v", err)
	}
	var many strings.Builder
	for range maxRingKeys + 1 {
		many.WriteString(NewKey() + "\n")
	}
	if _, err := Static(many.String()); err == nil {
		t.Error("too many keys, and no error")
	}
	if _, err := Static("  a\t" + strings.TrimRight(keyA[2:], "=\n") + "\r\n"); err != nil {
		t.Error(err)
	}
}

func TestRingHash(t *testing.T) {
	hash := func(text string) string { return static(t, text).Status().Hash }
	if hash(keyA+keyB) != hash("# c\n"+keyA+"\n"+keyB) || len(hash(keyA)) != 16 {
		t.Error("the same ring has other hashes")
	}
	seen := map[string]bool{hash(keyA): true, hash(keyB): true, hash(keyA + keyB): true, hash(keyB + keyA): true, hash("c" + keyA[1:]): true}
	if len(seen) != 5 {
		t.Errorf("different rings have the same hash: %v", seen)
	}
}

func TestRingReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "keys")
		r := NewRing(file)
		if _, err := r.Load(); err == nil || r.Status().Err == nil || r.Status().ErrSince != time.Now() {
			t.Errorf("no file, and no error: %+v", r.Status())
		}
		write(t, file, keyA)
		if changed, err := r.Load(); !changed || err != nil || r.Status().Err != nil || r.Status().Seals != "a" {
			t.Fatal(changed, err, r.Status())
		}
		text, _ := r.Seal(nil, "p", host, []byte("x"))
		hash := r.Status().Hash
		write(t, file, "nonsense\n")
		if changed, err := r.Load(); changed || err == nil || r.Status().Hash != hash || r.Status().Keys != 1 {
			t.Errorf("a broken file: %v %v", changed, err)
		}
		if _, _, err := r.Open("p", host, text); err != nil {
			t.Errorf("a broken file has taken the keys: %v", err)
		}
		write(t, file, keyA)
		if changed, err := r.Load(); changed || err != nil || r.Status().Err != nil {
			t.Errorf("the same file: %v %v", changed, err)
		}
		// A new first key seals when the others had the time to read it.
		write(t, file, keyB+keyA)
		if changed, err := r.Load(); !changed || err != nil || r.Status().Seals != "a" || r.Status().Next != "b" {
			t.Fatal(changed, err, r.Status())
		}
		if _, old, err := r.Open("p", host, text); old || err != nil {
			t.Error(old, err)
		}
		time.Sleep(settle)
		if s := r.Status(); s.Seals != "b" || s.Next != "" {
			t.Errorf("%+v", s)
		}
		if _, old, err := r.Open("p", host, text); !old || err != nil {
			t.Error(old, err)
		}
		write(t, file, keyB)
		if _, err := r.Load(); err != nil {
			t.Fatal(err)
		}
		if _, _, err := r.Open("p", host, text); err == nil {
			t.Error("a key that was taken out opens")
		}
		if err := os.Chmod(file, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Load(); err != nil || !strings.Contains(r.Status().Warning, "chmod 600") {
			t.Errorf("%v %q", err, r.Status().Warning)
		}
	})
}

// A key that is taken out counts at once for cookies that are remembered.
func TestRemovedKeysForget(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys")
	write(t, file, keyA+keyB)
	r := NewRing(file)
	r.now = func() time.Time { return time.Now().Add(settle) }
	if _, err := r.Load(); err != nil {
		t.Fatal(err)
	}
	k := New(Config{Ring: r})
	line := begin(t, k, claims("ann"))
	if v := try(k, line); v != authz.Allow {
		t.Fatal(v)
	}
	write(t, file, keyB)
	if _, err := r.Load(); err != nil {
		t.Fatal(err)
	}
	if v := try(k, line); v != authz.Challenge {
		t.Errorf("its key is gone: %v", v)
	}
}

// A thousand sessions go between two replicas, and one that is replaced again and again, which read the same file when they come
// to it (every five seconds), while its keys are rotated: without the order of the documentation (a new key in front at once),
// the old one taken out when the lifetime is over. No session is lost.
func TestRotationLosesNoSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const users, poll, lifetime = 1000, 5, 240 // the latter in seconds
		file := filepath.Join(t.TempDir(), "keys")
		keys := []string{NewKey()}
		put := func() {
			write(t, file, strings.Join(keys, "\n")+"\n")
			if err := os.Chtimes(file, time.Now(), time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		put()
		replica := func() (*Ring, *Keeper) {
			r := NewRing(file)
			if _, err := r.Load(); err != nil {
				t.Fatal(err)
			}
			return r, New(Config{Ring: r, Lifetime: lifetime * time.Second, Idle: 120 * time.Second})
		}
		var rings [3]*Ring
		var keepers [3]*Keeper
		for i := range rings {
			rings[i], keepers[i] = replica()
		}
		lines, began := make([]string, users), make([]int, users)
		requests, renewals := 0, 0
		for second := range 2 * lifetime {
			if second%48 == 47 {
				keys = append([]string{NewKey()}, keys...)
				keys = keys[:min(len(keys), lifetime/48+2)] // what is older has sealed nothing for a lifetime
				put()
			}
			if second%37 == 0 {
				rings[2], keepers[2] = replica()
			}
			for i, r := range rings {
				if second%poll == 2*i {
					if _, err := r.Load(); err != nil {
						t.Fatal(err)
					}
				}
			}
			for n := second % 10; n < users; n += 10 {
				if lines[n] == "" || second-began[n] >= lifetime {
					lines[n], began[n] = begin(t, keepers[n%3], claims(fmt.Sprint("u", n))), second
				}
				for i := range keepers { // the next one gets what this one has renewed, at once
					k, req := keepers[(second/10+n+i)%3], request(host, lines[n])
					id, v := k.Try("oidc", req)
					if v != authz.Allow {
						t.Fatalf("second %d: session of user %d, begun at %d, is lost: %v", second, n, began[n], v)
					}
					if set := k.Renew(id, "oidc", req); set != "" {
						lines[n] = pair(set)
						renewals++
					}
					requests++
				}
			}
			time.Sleep(time.Second)
		}
		if requests < 100_000 || renewals < 10_000 {
			t.Errorf("%d requests, %d renewals: not what was meant", requests, renewals)
		}
		t.Logf("%d requests of %d sessions, %d renewals, %d rotations", requests, users, renewals, 2*lifetime/48)
	})
}

// Keys change, and sessions are revoked, while others are opened and renewed.
func TestEverythingAtOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys")
	write(t, file, keyA+keyB)
	r := NewRing(file)
	if _, err := r.Load(); err != nil {
		t.Fatal(err)
	}
	k := New(Config{Ring: r})
	var all sync.WaitGroup
	for w := range 4 {
		line := begin(t, k, claims(fmt.Sprint("user ", w)))
		all.Go(func() {
			for range 500 {
				id, v := k.Try("oidc", request(host, line))
				if v != authz.Allow {
					t.Errorf("user %d: %v", w, v)
					return
				}
				if set := k.Renew(id, "oidc", request(host, line)); set != "" {
					line = pair(set)
				}
				if k.Ended(id.Session, time.Now()) != "" {
					t.Errorf("user %d is out", w)
				}
			}
		})
	}
	for i := range 100 {
		write(t, file, []string{keyB + keyA, keyA + keyB}[i%2])
		if _, err := r.Load(); err != nil {
			t.Error(err)
		}
		revoke(t, k, Revocation{Kind: SID, Value: fmt.Sprint(i)})
		_, _ = k.Stats(), k.Ring().Status()
	}
	all.Wait()
}

func TestCreateRing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state", "keys")
	var made atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			created, err := CreateRing(file)
			if err != nil {
				t.Error(err)
			}
			if created {
				made.Add(1)
			}
		})
	}
	all.Wait()
	r := NewRing(file)
	if _, err := r.Load(); err != nil || made.Load() != 1 || r.Status().Keys != 1 || r.Status().Warning != "" {
		t.Errorf("made %d times: %v %+v", made.Load(), err, r.Status())
	}
	left, err := os.ReadDir(filepath.Dir(file))
	if err != nil || len(left) != 1 {
		t.Errorf("%v %v", left, err)
	}
	write(t, file, keyA)
	if created, err := CreateRing(file); created || err != nil {
		t.Error(created, err)
	}
	if _, err := r.Load(); err != nil || r.Status().Seals == "" || content(t, file) != keyA {
		t.Errorf("%v: a file that was there is another", err)
	}
}
