package basic

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"

	"github.com/sluiceproxy/sluice/authz"
)

// header is the Authorization fields of a request.
type header []string

func (h header) Field(name string) ([]byte, int) {
	if name != "authorization" || len(h) == 0 {
		return nil, 0
	}
	return []byte(h[0]), len(h)
}

func encoded(pair string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(pair)) }

func from(addr, pair string) *authz.Request {
	return &authz.Request{Source: netip.MustParseAddr(addr), Fields: header{encoded(pair)}}
}

func bcrypted(t testing.TB, password string) string {
	t.Helper()
	h, err := bcrypt.GenerateFromPassword([]byte(password), minBcrypt)
	if err != nil {
		t.Fatal(err)
	}
	return string(h)
}

func argon(password string) string {
	salt := []byte("saltsalt")
	raw := base64.RawStdEncoding
	return "$argon2id$v=19$m=64,t=1,p=2$" + raw.EncodeToString(salt) + "$" + raw.EncodeToString(argon2.IDKey([]byte(password), salt, 1, 64, 2, 32))
}

func write(t testing.TB, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func loaded(t testing.TB, text string) *Authenticator {
	t.Helper()
	a := New(filepath.Join(t.TempDir(), "users"))
	write(t, a.file, text)
	if changed, err := a.Load(); err != nil || !changed {
		t.Fatal(changed, err)
	}
	return a
}

func TestPasswords(t *testing.T) {
	long := strings.Repeat("x", 72)
	a := loaded(t, "# ours\n\nann:"+bcrypted(t, "pass:word")+"\r\nbob:"+argon("geheim-ü")+":staff,ops\nlong:"+bcrypted(t, long)+"\nmuch:"+argon(long+"y")+"\n")
	for i, c := range []struct {
		pair string
		want authz.Verdict
	}{
		{"ann:pass:word", authz.Allow}, {"ann:pass", authz.Challenge}, {"ann:", authz.Challenge}, {"Ann:pass:word", authz.Challenge},
		{"bob:geheim-ü", authz.Allow}, {"bob:pass:word", authz.Challenge}, {"eve:pass:word", authz.Challenge}, {"eve:geheim-ü", authz.Challenge},
		{"long:" + long, authz.Allow}, {"long:" + long + "y", authz.Challenge}, {"much:" + long + "y", authz.Allow}, {"much:" + long, authz.Challenge},
	} {
		req := from(fmt.Sprintf("10.0.0.%d", i), c.pair)
		if id, v := a.Try(req); id != nil || v != authz.Pending {
			t.Errorf("%s: %v at first", c.pair, v)
		}
		id, v := a.Resolve(req.Clone(a.Fields()...))
		if v != c.want || (id != nil) != (v == authz.Allow) {
			t.Errorf("%s: %v, want %v", c.pair, v, c.want)
		}
		if v != authz.Allow {
			continue
		}
		if id.User != strings.Split(c.pair, ":")[0] || id.Method != "basic" || id.User == "bob" && strings.Join(id.Groups, " ") != "staff ops" {
			t.Errorf("%s: %+v", c.pair, id)
		}
		if again, v := a.Try(req); again != id || v != authz.Allow {
			t.Errorf("%s: not remembered: %v", c.pair, v)
		}
		if _, v := a.Try(from("10.9.9.9", c.pair)); v != authz.Pending {
			t.Errorf("%s: remembered for another address: %v", c.pair, v)
		}
	}
}

func TestReload(t *testing.T) {
	a := loaded(t, "ann:"+argon("one")+"\n")
	req := from("10.0.0.1", "ann:one")
	if _, v := a.Resolve(req); v != authz.Allow {
		t.Fatal(v)
	}
	write(t, a.file, "ann:plain\n")
	if _, err := a.Load(); err == nil || a.Status().Err == nil {
		t.Error("a broken file was taken")
	}
	if _, v := a.Try(req); v != authz.Allow {
		t.Errorf("a broken file changed something: %v", v)
	}
	write(t, a.file, "ann:"+argon("two")+"\n")
	if changed, err := a.Load(); err != nil || !changed || a.Status().Err != nil {
		t.Error(changed, err)
	}
	if _, v := a.Try(req); v != authz.Pending || len(a.cache.known) != 0 {
		t.Errorf("still remembered: %v", v)
	}
	if _, v := a.Resolve(req); v != authz.Challenge {
		t.Errorf("the old password: %v", v)
	}
	if changed, err := a.Load(); err != nil || changed {
		t.Error("the same file is a change", err)
	}
}

func TestNotLoaded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, req := New(filepath.Join(t.TempDir(), "none")), from("10.0.0.1", "ann:one")
		if _, v := a.Resolve(req); v != authz.Unavailable {
			t.Errorf("before the first Load: %v", v)
		}
		if _, err := a.Load(); err == nil {
			t.Error("no file, and no error")
		}
		if _, v := a.Try(req); v != authz.Unavailable {
			t.Errorf("after a failed Load: %v", v)
		}
	})
}

// slow is a hash whose computations are counted, and last until open is closed. Only "right" is.
type slow struct {
	open          chan struct{}
	now, max, all atomic.Int32
}

func (s *slow) matches(password []byte) bool {
	s.all.Add(1)
	s.max.Store(max(s.max.Load(), s.now.Add(1))) // at most hashesAtOnce race here
	defer s.now.Add(-1)
	<-s.open
	return string(password) == "right"
}

func withHash(h hash) *Authenticator {
	a, u := New(""), &user{identity: authz.Identity{Method: "basic", User: "ann"}, hash: h}
	a.users.Store(&userSet{users: map[string]*user{"ann": u}, order: []*user{u}})
	close(a.first)
	return a
}

func opened() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

func TestPlacesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &slow{open: make(chan struct{})}
		a := withHash(h)
		const full, more = hashesAtOnce + maxWaiting, 5
		answers := make(chan authz.Verdict, full+more)
		ask := func(i int) {
			_, v := a.Resolve(from(fmt.Sprintf("10.0.0.%d", i), "ann:right"))
			answers <- v
		}
		for i := range full {
			go ask(i) // ends with its answer
		}
		synctest.Wait()
		for i := range more {
			ask(full + i)
			if v := <-answers; v != authz.Unavailable {
				t.Errorf("beyond the queue: %v", v)
			}
		}
		if n := h.now.Load(); n != hashesAtOnce {
			t.Errorf("%d hashes at once", n)
		}
		time.Sleep(maxWait + time.Second)
		synctest.Wait()
		for range maxWaiting {
			if v := <-answers; v != authz.Unavailable {
				t.Errorf("waited too long: %v", v)
			}
		}
		close(h.open)
		for range hashesAtOnce {
			if v := <-answers; v != authz.Allow {
				t.Errorf("had a place: %v", v)
			}
		}
		if n := a.waiting.Load(); n != 0 || len(a.hashing) != 0 || h.max.Load() > hashesAtOnce {
			t.Errorf("%d wait, %d hash, %d at once", n, len(a.hashing), h.max.Load())
		}
	})
}

func TestOneHashForMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &slow{open: make(chan struct{})}
		a := withHash(h)
		answers := make(chan authz.Verdict)
		for range hashesAtOnce + maxWaiting {
			go func() { // ends with its answer
				_, v := a.Resolve(from("10.0.0.1", "ann:right"))
				answers <- v
			}()
		}
		synctest.Wait()
		close(h.open)
		for range hashesAtOnce + maxWaiting {
			if v := <-answers; v != authz.Allow {
				t.Error(v)
			}
		}
		if n := h.all.Load(); n > hashesAtOnce {
			t.Errorf("%d hashes of one password", n)
		}
	})
}

func TestThrottles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &slow{open: opened()}
		a := withHash(h)
		resolve := func(addr, pair string, want authz.Verdict) {
			t.Helper()
			before := h.all.Load()
			if _, v := a.Resolve(from(addr, pair)); v != want {
				t.Errorf("%s %s: %v, want %v", addr, pair, v, want)
			}
			if want == authz.Unavailable && h.all.Load() != before {
				t.Errorf("%s %s: a hash for who is throttled", addr, pair)
			}
		}
		resolve("10.0.0.1", "ann:right", authz.Allow)
		for i := range perSource {
			resolve("10.0.0.1", fmt.Sprintf("u%d:wrong", i), authz.Challenge)
			resolve(fmt.Sprintf("2001:db8::%d", i+1), "nobody:wrong", authz.Challenge) // of one /64
		}
		resolve("10.0.0.1", "ann:right", authz.Unavailable)
		if _, v := a.Try(from("10.0.0.1", "ann:right")); v != authz.Unavailable {
			t.Errorf("an address that is throttled learns what is remembered: %v", v)
		}
		resolve("2001:db8::ff", "ann:right", authz.Unavailable)
		resolve("2001:db8:0:1::1", "ann:right", authz.Allow)
		resolve("10.0.0.2", "ann:right", authz.Allow)

		for i := range perUser {
			resolve(fmt.Sprintf("10.1.%d.%d", i/perSource, 1), "ann:wrong", authz.Challenge)
		}
		resolve("10.0.0.3", "ann:right", authz.Unavailable) // the user is throttled
		resolve("10.0.0.3", "bob:wrong", authz.Challenge)   // nobody else
		resolve("10.0.0.2", "ann:right", authz.Allow)       // remembered there
		time.Sleep(failureWindow)
		resolve("10.0.0.1", "ann:right", authz.Allow)
		resolve("10.0.0.3", "ann:right", authz.Allow)

		time.Sleep(rememberedFor)
		before := h.all.Load()
		resolve("10.0.0.3", "ann:right", authz.Allow)
		if h.all.Load() != before+1 {
			t.Error("remembered for too long")
		}
	})
}

// Who does not exist costs a hash, and its being right helps nobody.
func TestNobodyCostsAHash(t *testing.T) {
	h := &slow{open: opened()}
	a := withHash(h)
	if id, v := a.Resolve(from("10.0.0.1", "eve:right")); id != nil || v != authz.Challenge {
		t.Errorf("somebody who does not exist is %+v, %v", id, v)
	}
	if n := h.all.Load(); n != 1 {
		t.Errorf("%d hashes for who does not exist", n)
	}
}

// What was verified by a file that was replaced meanwhile is not remembered.
func TestReloadWhileHashing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &slow{open: make(chan struct{})}
		a, req, answer := withHash(h), from("10.0.0.1", "ann:right"), make(chan authz.Verdict, 1)
		go func() { // ends with its answer
			_, v := a.Resolve(req)
			answer <- v
		}()
		synctest.Wait()
		next := *a.users.Load()
		a.users.Store(&next)
		close(h.open)
		if v := <-answer; v != authz.Allow {
			t.Fatal(v)
		}
		if _, v := a.Try(req); v != authz.Pending {
			t.Errorf("remembered beyond its file: %v", v)
		}
	})
}

func TestTablesAreBounded(t *testing.T) {
	var f failures
	var c cache
	now, set := time.Now(), &userSet{}
	f.limit = 1
	for i := range maxThrottled + 100 {
		key := sha256.Sum256(fmt.Append(nil, i))
		f.failed(key, now)
		c.put(key, remembrance{&authz.Identity{}, set, now.Add(time.Hour)}, now)
		if !f.throttled(key, now) || c.get(key, set, now) == nil {
			t.Fatal(i, "was dropped at once")
		}
	}
	if len(f.windows) != maxThrottled || len(c.known) != maxRemembered {
		t.Errorf("%d and %d", len(f.windows), len(c.known))
	}
}

func TestSeal(t *testing.T) {
	var s seal
	key := [sha256.BlockSize]byte{1, 2, 3}
	s.key(key)
	var source digest
	source[0] = 7
	for _, n := range []int{0, 1, 64, maxCredential} {
		text := bytes.Repeat([]byte("p"), n)
		mac := hmac.New(sha256.New, key[:])
		mac.Write(append(append([]byte{'c'}, source[:]...), text...))
		if got := s.of('c', source, text); !bytes.Equal(got[:], mac.Sum(nil)) {
			t.Errorf("%d bytes: not HMAC", n)
		}
	}
}

func TestTryAllocatesNothing(t *testing.T) {
	a := withHash(&slow{open: opened()})
	req := from("10.0.0.1", "ann:right")
	if _, v := a.Resolve(req); v != authz.Allow {
		t.Fatal(v)
	}
	value := []byte(encoded("ann:right"))
	req.Fields = fixed{value}
	if n := testing.AllocsPerRun(100, func() {
		if _, v := a.Try(req); v != authz.Allow {
			t.Fatal(v)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

type fixed struct{ value []byte }

func (f fixed) Field(string) ([]byte, int) { return f.value, 1 }
