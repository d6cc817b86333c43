package policysync

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"aead.dev/minisign"

	"github.com/sluiceproxy/sluice/authz/policy"
)

// signed publishes to a directory of objects as version n, signed by keys.
func signed(t *testing.T, dir string, n uint64, text string, change func(*Manifest), keys ...minisign.PrivateKey) []byte {
	t.Helper()
	hash := hashOf([]byte(text))
	m := Manifest{Version: n, Objects: map[string]string{"p.yaml": hash}}
	if change != nil {
		change(&m)
	}
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	b = append(b, '\n')
	var signatures [][]byte
	for _, k := range keys {
		signatures = append(signatures, minisign.Sign(k, b))
	}
	raw := JoinHead(b, signatures...)
	put(t, filepath.Join(dir, "objects", hash), text)
	put(t, filepath.Join(dir, "head"), string(raw))
	return raw
}

// signedRig syncs from a directory of objects that must be signed.
func signedRig(t *testing.T, dir, state string, trust *Trust, change ...func(*Config)) *rig {
	return newRig(t, append(change, func(c *Config) {
		c.Source, c.Trust, c.StateDir, c.Poll = FromStore(unwatched{NewDirStore(dir)}, trust), trust, state, 10*time.Second
	})...)
}

// unwatched has no hints: a watcher of the file system has no place in a bubble of time.
type unwatched struct{ *DirStore }

func (unwatched) Watch(context.Context, Version) (<-chan struct{}, error) {
	return nil, errors.New("not watched")
}

// What may be wrong with a version: each is kept out by its reason, counts once however often it is
// read, the last good one goes on, and the next good one comes into force.
func TestKeptOutByReason(t *testing.T) {
	for _, tt := range []struct {
		reason Reason
		name   string
		spoil  func(t *testing.T, dir string, k minisign.PrivateKey)
	}{
		{BadSignature, "stripped", func(t *testing.T, dir string, _ minisign.PrivateKey) { signed(t, dir, 6, good2, nil) }},
		{BadSignature, "tampered", func(t *testing.T, dir string, k minisign.PrivateKey) {
			raw := signed(t, dir, 6, good2, nil, k)
			put(t, filepath.Join(dir, "head"), strings.Replace(string(raw), `:6,`, `:7,`, 1))
		}},
		{Rollback, "replayed", func(t *testing.T, dir string, k minisign.PrivateKey) { signed(t, dir, 4, good2, nil, k) }},
		{Rollback, "same number", func(t *testing.T, dir string, k minisign.PrivateKey) { signed(t, dir, 5, good2, nil, k) }},
		{Expired, "expired", func(t *testing.T, dir string, k minisign.PrivateKey) {
			signed(t, dir, 6, good2, func(m *Manifest) { m.Expires = time.Now() }, k)
		}},
		{MinProxy, "for a newer proxy", func(t *testing.T, dir string, k minisign.PrivateKey) {
			signed(t, dir, 6, good2, func(m *Manifest) { m.MinProxy = "0.10" }, k)
		}},
		{BadHash, "an object tampered with", func(t *testing.T, dir string, k minisign.PrivateKey) {
			signed(t, dir, 6, good2, nil, k)
			put(t, filepath.Join(dir, "objects", hashOf([]byte(good2))), good)
		}},
		{Oversized, "an oversized object", func(t *testing.T, dir string, k minisign.PrivateKey) {
			signed(t, dir, 6, good2, nil, k)
			if err := os.Truncate(filepath.Join(dir, "objects", hashOf([]byte(good2))), policy.MaxSize+1); err != nil {
				t.Fatal(err)
			}
		}},
		{Oversized, "an oversized head", func(t *testing.T, dir string, k minisign.PrivateKey) {
			if err := os.Truncate(filepath.Join(dir, "head"), MaxRawHead+1); err != nil {
				t.Fatal(err)
			}
		}},
		{Unreadable, "no policy", func(t *testing.T, dir string, k minisign.PrivateKey) { signed(t, dir, 6, bad, nil, k) }},
		{Unreadable, "no manifest", func(t *testing.T, dir string, k minisign.PrivateKey) {
			put(t, filepath.Join(dir, "head"), string(JoinHead([]byte("{}\n"), minisign.Sign(k, []byte("{}\n")))))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir()
				public, private := key(t, 1)
				r := signedRig(t, dir, "", trustIn(t, 1, public), func(c *Config) { c.Release = "v0.9.1" })
				signed(t, dir, 5, good, nil, private)
				r.start(t)
				r.settle()
				tt.spoil(t, dir, private)
				time.Sleep(time.Minute)
				got := r.settle()
				s := r.Status()
				if s.Version.Number != 5 || s.Rejected == nil || s.Rejected.Reason != tt.reason || s.SourceError != "" {
					t.Fatalf("%+v, %+v", s, s.Rejected)
				}
				if len(s.Rejections) != 1 || s.Rejections[tt.reason] != 1 {
					t.Errorf("counted %v", s.Rejections)
				}
				if want := "policy.build degraded: " + firstLine(textError(s.Rejected.Error)); !slices.Equal(got, []string{want}) {
					t.Errorf("said %q, want %q", got, want)
				}
				signed(t, dir, 8, good+"# good\n", nil, private)
				time.Sleep(time.Minute)
				expect(t, r.settle(), "apply 8 a", "policy.build running")
			})
		})
	}
}

// An object that the store puts right is taken under the same head.
func TestAnObjectThatIsPutRight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		public, private := key(t, 1)
		r := signedRig(t, dir, "", trustIn(t, 1, public))
		signed(t, dir, 1, good, nil, private)
		object := filepath.Join(dir, "objects", hashOf([]byte(good)))
		put(t, object, good2)
		r.start(t)
		if got := r.settle(); slices.Contains(got, "ready") {
			t.Errorf("got %q", got)
		}
		put(t, object, good)
		time.Sleep(time.Minute)
		if got := r.settle(); !slices.Contains(got, "ready") || r.Status().Rejected != nil {
			t.Errorf("got %q", got)
		}
	})
}

// A version that expires while it is in force goes on, and everybody hears of it.
func TestExpiryInForce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		at := time.Now().Add(time.Hour)
		r.source.publish(1, good, func(h *Head) { h.Expires = at })
		r.start(t)
		time.Sleep(time.Hour - time.Second)
		r.settle()
		if s := r.Status(); s.Expired || !s.Expires.Equal(at) {
			t.Errorf("status %+v", s)
		}
		time.Sleep(time.Minute)
		v := r.Status().Version
		expect(t, r.settle(), fmt.Sprintf("policy.build degraded: version %s expired at 2000-01-01T01:00:00Z and is still in force; publish a new one", v))
		if s := r.Status(); !s.Expired || s.Version.Number != 1 || len(s.Rejections) != 0 {
			t.Errorf("status %+v", s)
		}
		r.source.publish(2, good2)
		time.Sleep(time.Minute)
		expect(t, r.settle(), "apply 2 b", "policy.build running")
		if s := r.Status(); s.Expired || !s.Expires.IsZero() {
			t.Errorf("status %+v", s)
		}
	})
}

func TestReleases(t *testing.T) {
	for _, tt := range []struct {
		least, have string
		taken       bool
	}{
		{"0.9", "0.9.0", true}, {"0.9", "v0.9.3", true}, {"0.9", "v0.10.0", true}, {"1", "v1.0.0", true}, {"0.9.0", "v0.9.0-rc.1", true},
		{"0.9", "v0.9.0-12-gabcdef", true}, {"", "v0.1.0", true}, {"99", "dev", true}, {"99", "", true},
		{"0.9", "v0.8.9", false}, {"0.10", "v0.9.0", false}, {"1", "v0.99.99", false}, {"0.9.1", "0.9", false},
	} {
		r := newRig(t, func(c *Config) { c.Release = tt.have })
		got := r.admissible(Head{MinProxy: tt.least}, time.Now())
		if (got == nil) != tt.taken || got != nil && (got.Reason != MinProxy || !strings.Contains(got.Error(), "needs a proxy of "+tt.least)) {
			t.Errorf("%q for %q: %v", tt.have, tt.least, got)
		}
	}
	for _, bad := range []string{"x", "0.9.0.1", "1.", "-1", "9999999999999"} {
		if h, err := ParseManifest(fmt.Appendf(nil, `{"version":1,"min_proxy":%q,"objects":{}}`, bad)); err == nil {
			t.Errorf("min_proxy %q was taken: %+v", bad, h)
		}
	}
}

// The state directory alone knows how far it went, whatever became of the rest.
func TestTheHighestVersionIsRemembered(t *testing.T) {
	public, private := key(t, 1)
	for _, tt := range []struct {
		name   string
		after  func(t *testing.T, dir, state string)
		reason Reason // empty: taken
	}{
		{"the same", func(t *testing.T, dir, _ string) { signed(t, dir, 7, good, nil, private) }, ""},
		{"a newer one", func(t *testing.T, dir, _ string) { signed(t, dir, 8, good2, nil, private) }, ""},
		{"an older one", func(t *testing.T, dir, _ string) { signed(t, dir, 6, good2, nil, private) }, Rollback},
		{"the same number", func(t *testing.T, dir, _ string) { signed(t, dir, 7, good2, nil, private) }, Rollback},
		{"an older one, and no last good version", func(t *testing.T, dir, state string) {
			remove(t, filepath.Join(state, lastGoodFile))
			signed(t, dir, 6, good2, nil, private)
		}, Rollback},
		{"an older one, of an earlier release's state", func(t *testing.T, dir, state string) {
			remove(t, filepath.Join(state, highestFile))
			signed(t, dir, 6, good2, nil, private)
		}, Rollback},
		{"an older one, in a directory that was lost", func(t *testing.T, dir, _ string) {
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
			signed(t, dir, 1, good2, nil, private)
		}, Rollback},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir, state := filepath.Join(t.TempDir(), "policy"), t.TempDir()
				signed(t, dir, 7, good, nil, private)
				before := signedRig(t, dir, state, trustIn(t, 1, public))
				before.start(t)
				before.settle()
				if err := before.Close(); err != nil || before.Status().Version.Number != 7 {
					t.Fatal(err, before.Status())
				}
				tt.after(t, dir, state)
				r := signedRig(t, dir, state, trustIn(t, 1, public))
				r.start(t)
				ready := slices.Contains(r.settle(), "ready")
				s := r.Status()
				if ready != (tt.reason == "") || !ready && (s.Rejected == nil || s.Rejected.Reason != tt.reason) {
					t.Errorf("ready %v, %+v, %+v", ready, s, s.Rejected)
				}
			})
		})
	}
}

func remove(t *testing.T, file string) {
	t.Helper()
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
}

// What is kept is believed by the keys of today, or not at all.
func TestLastGoodIsVerifiedAgain(t *testing.T) {
	one, oneKey := key(t, 1)
	two, twoKey := key(t, 2)
	for _, tt := range []struct {
		name   string
		before *Trust // nil: no keys then
		today  *Trust
		resign bool // with the other key, while in force
		change func(*Manifest)
		damage func(t *testing.T, file string)
		ready  bool
	}{
		{name: "the same key", before: trustIn(t, 1, one), today: trustIn(t, 1, one), ready: true},
		{name: "another key", before: trustIn(t, 1, one), today: trustIn(t, 1, two)},
		{name: "another key, signed with it in time", before: trustIn(t, 1, one), today: trustIn(t, 1, two), resign: true, ready: true},
		{name: "two keys are needed now", before: trustIn(t, 1, one), today: trustIn(t, 2, one, two)},
		{name: "no keys any more", before: trustIn(t, 1, one), ready: true},
		{name: "there were none before", today: trustIn(t, 1, two)},
		{name: "expired meanwhile", before: trustIn(t, 1, one), today: trustIn(t, 1, one), change: func(m *Manifest) { m.Expires = time.Now().Add(time.Second) }},
		{name: "a file changed, and its sum", before: trustIn(t, 1, one), today: trustIn(t, 1, one), damage: reseal(func(g *lastGood) { g.Files[0].Text = good2 })},
		{name: "the head taken away", before: trustIn(t, 1, one), today: trustIn(t, 1, one), damage: reseal(func(g *lastGood) { g.Head = nil })},
		{name: "a file more", before: trustIn(t, 1, one), today: trustIn(t, 1, one), damage: reseal(func(g *lastGood) { g.Files = append(g.Files, keptFile{"z.yaml", "routes: []\n"}) })},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir, state := t.TempDir(), t.TempDir()
				sign := []minisign.PrivateKey{oneKey}
				if tt.before == nil {
					sign = nil
				}
				signed(t, dir, 7, good, tt.change, sign...)
				extra := func(c *Config) {
					c.StartFromLastGood = time.Hour
					c.Extra = []policy.File{{Name: "--to", Src: []byte("clusters: {other: {endpoints: ['h:3']}}\n")}}
				}
				before := signedRig(t, dir, state, tt.before, extra)
				before.start(t)
				before.settle()
				if tt.resign {
					signed(t, dir, 7, good, tt.change, oneKey, twoKey)
					time.Sleep(time.Minute)
				}
				if err := before.Close(); err != nil || before.Status().Version.Number != 7 || before.Status().StateError != "" {
					t.Fatal(err, before.Status())
				}
				time.Sleep(time.Minute)
				remove(t, filepath.Join(dir, "head"))
				if tt.damage != nil {
					tt.damage(t, filepath.Join(state, lastGoodFile))
				}
				r := signedRig(t, dir, state, tt.today, extra)
				r.start(t)
				if got := r.settle(); slices.Contains(got, "ready") != tt.ready {
					t.Errorf("ready is not %v: %q", tt.ready, got)
				}
			})
		})
	}
}

// reseal changes what is kept as somebody does who knows the format.
func reseal(change func(*lastGood)) func(*testing.T, string) {
	return func(t *testing.T, file string) {
		g, err := readLastGood(filepath.Dir(file))
		if err != nil {
			t.Fatal(err)
		}
		change(g)
		g.Sum = g.sum()
		if err := writeLastGood(filepath.Dir(file), g); err != nil {
			t.Fatal(err)
		}
	}
}
