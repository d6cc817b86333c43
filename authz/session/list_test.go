package session

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluiceproxy/sluice/authz"
)

const issuer = "https://id.example.com"

func revoke(t testing.TB, k *Keeper, r Revocation) {
	t.Helper()
	if err := k.Revoke(t.Context(), r); err != nil {
		t.Fatal(err)
	}
}

func TestRevocationsEndWhatTheySay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := New(Config{Ring: static(t, keyA)})
		line := begin(t, k, claims("ann"))
		id, _ := k.Try("oidc", request(host, line))
		other := New(Config{Ring: static(t, keyA)})
		for _, c := range []struct {
			r    Revocation
			ends bool
		}{
			{Revocation{Kind: SID, Value: id.Session.ID}, true},
			{Revocation{Kind: SID, Value: id.Session.ID + "x"}, false},
			{Revocation{Kind: SID, Value: "ann"}, false},
			{Revocation{Kind: Sub, Issuer: issuer, Value: "ann"}, true},
			{Revocation{Kind: Sub, Issuer: issuer, Value: "bob"}, false},
			{Revocation{Kind: Sub, Issuer: issuer + "/", Value: "ann"}, false},
			{Revocation{Kind: Sub, Issuer: issuer, Value: "up-ann"}, false},
			{Revocation{Kind: Sub, Issuer: issuer, Value: "ann", Before: time.Now().Add(-time.Millisecond)}, false},
			{Revocation{Kind: Sub, Issuer: issuer, Value: "ann", Before: time.Now()}, true},
			{Revocation{Kind: Upstream, Issuer: issuer, Value: "up-ann"}, true},
			{Revocation{Kind: Upstream, Issuer: "other", Value: "up-ann"}, false},
			{Revocation{Kind: All}, true},
			{Revocation{Kind: All, Before: time.Now().Add(-time.Millisecond)}, false},
		} {
			other.list = NewList(ListConfig{})
			changes := 0
			other.OnChange(func() { changes++ })
			revoke(t, other, c.r)
			revoke(t, other, c.r)
			want, ended := authz.Allow, ""
			if c.ends {
				want, ended = authz.Challenge, "session_revoked"
			}
			if v := try(other, line); v != want || other.Ended(id.Session, time.Now()) != ended {
				t.Errorf("%+v: %v, want %v", c.r, v, want)
			}
			if changes != 1 {
				t.Errorf("%+v: %d changes", c.r, changes)
			}
		}
	})
}

func TestBadRevocations(t *testing.T) {
	l := NewList(ListConfig{})
	for _, r := range []Revocation{
		{}, {Kind: "user", Value: "x"}, {Kind: SID}, {Kind: Sub, Value: "x"}, {Kind: Sub, Issuer: "i"}, {Kind: Upstream, Value: "x"}, {Kind: All, Value: "x"},
		{Kind: SID, Issuer: "i", Value: "x"}, {Kind: All, Issuer: "i"}, {Kind: SID, Value: strings.Repeat("x", maxName+1)},
		{Kind: All, Before: time.Now().Add(time.Hour)},
	} {
		if err := l.Add(t.Context(), r); err == nil {
			t.Errorf("%+v: taken", r)
		}
	}
	if n := l.Status().Entries; n != 0 {
		t.Errorf("%d entries", n)
	}
}

// Who logs in after a revocation is not meant by it, though it reaches a minute ahead for replicas whose clocks are.
func TestLoginAfterRevocation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := New(Config{Ring: static(t, keyA)})
		ahead := New(Config{Ring: static(t, keyA), Revocations: k.list, Now: func() time.Time { return time.Now().Add(59 * time.Second) }})
		before := begin(t, ahead, claims("ann"))
		for _, r := range []Revocation{{Kind: Sub, Issuer: issuer, Value: "ann"}, {Kind: All}} {
			revoke(t, k, r)
			if v := try(k, before); v != authz.Challenge {
				t.Errorf("%s: a session of a replica whose clock is ahead: %v", r.Kind, v)
			}
			for _, keeper := range []*Keeper{k, ahead} {
				after := begin(t, keeper, claims("ann"))
				if v := try(k, after); v != authz.Allow {
					t.Errorf("%s: who logs in afterwards: %v", r.Kind, v)
				}
				if v := try(ahead, after); v != authz.Allow {
					t.Errorf("%s: who logs in afterwards, elsewhere: %v", r.Kind, v)
				}
			}
			time.Sleep(time.Second)
		}
		revoke(t, k, Revocation{Kind: Upstream, Issuer: issuer, Value: "up-ann"})
		if _, err := k.Begin(host, claims("ann")); !errors.Is(err, ErrRevoked) {
			t.Errorf("a session of the provider's that is ended: %v", err)
		}
	})
}

func TestEntriesDieWithTheSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "list")
		l := NewList(ListConfig{File: file, Lifetime: time.Hour})
		for i := range 3000 {
			kind := []string{SID, Sub, Upstream}[i%3]
			r := Revocation{Kind: kind, Value: fmt.Sprint("v", i), Before: time.Now()}
			if kind != SID {
				r.Issuer = issuer
			}
			l.mu.Lock()
			_, err := l.entries.add(record{r, time.Now()})
			l.writing.add(record{r, time.Now()}, time.Now())
			l.mu.Unlock()
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := l.Sync(); err != nil {
			t.Fatal(err)
		}
		if err := l.Sync(); err != nil || l.Status().Lines != 3000 {
			t.Fatal(err, l.Status())
		}
		time.Sleep(30 * time.Minute)
		if err := l.Add(t.Context(), Revocation{Kind: All, Before: time.Now().Add(-time.Hour)}); err != nil {
			t.Fatal(err)
		}
		if err := l.Sync(); err != nil || l.Status().Entries != 3001 {
			t.Fatal(err, l.Status())
		}
		time.Sleep(30*time.Minute + 2*skew)
		if err := l.Sync(); err != nil || l.Status().Entries != 3001 {
			t.Errorf("dropped too early: %v %+v", err, l.Status())
		}
		time.Sleep(time.Minute)
		for range 2 {
			if err := l.Sync(); err != nil {
				t.Fatal(err)
			}
		}
		if s := l.Status(); s.Entries != 1 || s.Lines != 1 {
			t.Errorf("what is over is kept: %+v", s)
		}
		fresh := NewList(ListConfig{File: file, Lifetime: time.Hour})
		if err := fresh.Sync(); err != nil || fresh.Status().Entries != 1 {
			t.Errorf("%v %+v", err, fresh.Status())
		}
	})
}

func TestAListInMemoryForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewList(ListConfig{Lifetime: time.Hour})
		for i := range 200 {
			add(t, l, fmt.Sprint(i))
			time.Sleep(time.Minute)
		}
		if n := l.Status().Entries; n < 60 || n > 70 || !ended(l, "199") || ended(l, "0") {
			t.Errorf("%d entries", n)
		}
	})
}

// Who begins and ends sessions in a loop keeps nobody from ending those of a user, or of all; and what another process has
// written meanwhile finds room, whatever is full here.
func TestAFullList(t *testing.T) {
	l := NewList(ListConfig{})
	old := time.Now().Add(-time.Hour)
	fill := func(kind string, upTo int) {
		for i := l.Status().Entries; i < upTo; i++ {
			if _, err := l.entries.add(record{Revocation{Kind: kind, Value: fmt.Sprint(i), Before: old}, old}); err != nil {
				t.Fatal(i, err)
			}
		}
	}
	full := func(r Revocation, want error) {
		t.Helper()
		if err := l.Add(t.Context(), r); !errors.Is(err, want) {
			t.Errorf("%+v in a list of %d: %v, want %v", r, l.Status().Entries, err, want)
		}
	}
	fill(SID, maxSessions)
	full(Revocation{Kind: SID, Value: "one more"}, errFull)
	full(Revocation{Kind: Upstream, Issuer: issuer, Value: "one more"}, errFull)
	full(Revocation{Kind: Sub, Issuer: issuer, Value: "ann"}, nil)
	fill(Sub, maxUsers)
	full(Revocation{Kind: Sub, Issuer: issuer, Value: "bob"}, errFull)
	fill(SID, maxEntries)
	if _, err := l.entries.add(record{Revocation{Kind: SID, Value: "one more", Before: old}, old}); !errors.Is(err, errFull) {
		t.Errorf("read from the file: %v", err)
	}
	if changed, err := l.entries.add(record{Revocation{Kind: SID, Value: "7", Before: old}, old}); changed || err != nil {
		t.Errorf("read from the file once more: %v %v", changed, err)
	}
	full(Revocation{Kind: All}, nil)
	if n := l.Status().Entries; n != 1 {
		t.Errorf("all: %d entries", n)
	}
	full(Revocation{Kind: SID, Value: "one more"}, nil)
}
