package session

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluiceproxy/sluice/authz"
)

func onFile(file string) *List { return NewList(ListConfig{File: file}) }

func ended(l *List, id string) bool {
	return l.revoked(&authz.Session{ID: id, Issuer: issuer, Subject: "s", Began: time.Now()})
}

func add(t testing.TB, l *List, id string) {
	t.Helper()
	if err := l.Add(t.Context(), Revocation{Kind: SID, Value: id}); err != nil {
		t.Fatal(err)
	}
}

func synced(t testing.TB, l *List) {
	t.Helper()
	if err := l.Sync(); err != nil {
		t.Fatal(err)
	}
}

func appendTo(t testing.TB, file, text string) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString(text)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

func content(t testing.TB, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// A process learns in time what another has revoked, says so, and a third that starts later knows it.
func TestOthersLearn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "list")
		a, b := onFile(file), onFile(file)
		changes := make(chan struct{}, 100)
		b.OnChange(func() { changes <- struct{}{} })
		ctx, cancel := context.WithCancel(t.Context())
		var done sync.WaitGroup
		done.Go(func() { a.Run(ctx) })
		done.Go(func() { b.Run(ctx) })
		time.Sleep(time.Second)
		if a.Status().Err != nil || !a.Loaded() || b.Status().Stale > pollEvery {
			t.Errorf("%+v %+v", a.Status(), b.Status())
		}
		add(t, a, "one")
		began := time.Now()
		<-changes
		if d := time.Since(began); d > 250*time.Millisecond || !ended(b, "one") || ended(b, "two") {
			t.Errorf("after %v: %v", d, ended(b, "one"))
		}
		time.Sleep(time.Second)
		if len(changes) != 0 {
			t.Error("told again of the same")
		}
		cancel()
		done.Wait()
		c := onFile(file)
		synced(t, c)
		if !ended(c, "one") {
			t.Error("a restart has lost it")
		}
		if n := strings.Count(content(t, file), "\n"); n != 1 {
			t.Errorf("%d lines", n)
		}
	})
}

func TestPartialAndDamagedLines(t *testing.T) {
	file := filepath.Join(t.TempDir(), "list")
	a := onFile(file)
	add(t, a, "one")
	b := onFile(file)
	synced(t, b)
	whole := content(t, file)
	// Somebody dies while he writes: what he wrote is nothing yet.
	appendTo(t, file, strings.Replace(whole, "one", "two", 1)[:40])
	synced(t, b)
	if s := b.Status(); s.Err != nil || ended(b, "two") {
		t.Errorf("a partial line: %+v", s)
	}
	// The next writer takes it away.
	add(t, a, "three")
	synced(t, b)
	if s := b.Status(); s.Err != nil || !ended(b, "three") || s.Lines != 2 || strings.Contains(content(t, file), "two") {
		t.Errorf("%+v: %s", s, content(t, file))
	}
	// A record without an end is one, and the next writer ends its line.
	appendTo(t, file, strings.TrimSuffix(strings.Replace(whole, "one", "four", 1), "\n"))
	synced(t, b)
	if !ended(b, "four") || b.Status().Lines != 2 {
		t.Errorf("without an end: %+v", b.Status())
	}
	add(t, a, "five")
	synced(t, b)
	if s := b.Status(); s.Err != nil || s.Lines != 4 || !ended(b, "five") {
		t.Errorf("%+v: %s", s, content(t, file))
	}
	// What is no record and has others behind it may have been any: it is named until all are ended.
	for _, bad := range []string{"nonsense", "{}", `{"kind":"sid","value":"x"}`, `{"kind":"other","value":"x","before":"2026-01-01T00:00:00Z","at":"2026-01-01T00:00:00Z"}`,
		"\x00\x00\x00", strings.Repeat("x", 3*maxLine), whole[:50] + whole} {
		number := b.Status().Lines + 1
		appendTo(t, file, bad+"\n")
		add(t, a, "six "+bad[:2])
		err := b.Sync()
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("list:%d: not a revocation", number)) || b.Status().Err == nil {
			t.Errorf("%.40q: %v, line %d", bad, err, number)
		}
		if !ended(b, "six "+bad[:2]) {
			t.Errorf("%.40q: what follows is not known", bad)
		}
		fresh := onFile(file)
		if err := fresh.Sync(); err == nil || fresh.Loaded() {
			t.Errorf("%.40q: loaded well", bad)
		}
		if err := a.Add(t.Context(), Revocation{Kind: All, Before: time.Now()}); err != nil {
			t.Fatal(err)
		}
		synced(t, b)
		synced(t, fresh)
	}
}

func TestDamageDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "list")
		l := NewList(ListConfig{File: file, Lifetime: time.Hour})
		synced(t, l)
		appendTo(t, file, "nonsense\n")
		if l.Sync() == nil {
			t.Error("damaged, and no error")
		}
		time.Sleep(time.Hour + 2*skew)
		if l.Sync() == nil {
			t.Error("the sessions of its time are not over yet")
		}
		time.Sleep(time.Second)
		synced(t, l)
	})
}

// Whatever happens to the file, nobody who was out is in again, and it comes back.
func TestTheFileGoesAway(t *testing.T) {
	for name, spoil := range map[string]func(file string) error{
		"removed": os.Remove,
		"emptied": func(file string) error { return os.Truncate(file, 0) },
		"cut":     func(file string) error { return os.Truncate(file, 30) },
		"replaced": func(file string) error {
			return errors.Join(os.WriteFile(file+".new", nil, 0o600), os.Rename(file+".new", file))
		},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "list")
			a, b := onFile(file), onFile(file)
			add(t, a, "one")
			synced(t, b)
			if err := spoil(file); err != nil {
				t.Fatal(err)
			}
			add(t, a, "two")
			synced(t, a)
			synced(t, b)
			for _, l := range []*List{a, b} {
				if !ended(l, "one") || !ended(l, "two") {
					t.Errorf("one %v, two %v", ended(l, "one"), ended(l, "two"))
				}
			}
		})
	}
}

// A file that is edited in its place is read again.
func TestTheFileIsEdited(t *testing.T) {
	file := filepath.Join(t.TempDir(), "list")
	a, b := onFile(file), onFile(file)
	add(t, a, "aaa")
	synced(t, b)
	text := content(t, file)
	for i, edited := range []string{strings.Replace(text, "aaa", "bbb", 1), strings.Replace(text, "aaa", "ccc", 1) + strings.Replace(text, "aaa", "ddd", 1)} {
		write(t, file, edited)
		if err := os.Chtimes(file, time.Time{}, time.Now().Add(time.Duration(i+1)*time.Second)); err != nil {
			t.Fatal(err)
		}
		synced(t, b)
	}
	for _, id := range []string{"aaa", "bbb", "ccc", "ddd"} {
		if !ended(b, id) {
			t.Errorf("%s is not ended", id)
		}
	}
}

// Where the disk does not take it, it counts here, is said, and is tried again.
func TestTheDiskFails(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	file := filepath.Join(dir, "list")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	l := onFile(file)
	synced(t, l)
	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	err := l.Add(t.Context(), Revocation{Kind: SID, Value: "one"})
	if err == nil || !ended(l, "one") {
		t.Errorf("%v, ended %v", err, ended(l, "one"))
	}
	if s := l.Status(); s.Pending != 1 || s.PendingErr == nil || s.PendingSince.IsZero() || s.Err == nil {
		t.Errorf("%+v", s)
	}
	if err := l.Add(t.Context(), Revocation{Kind: SID, Value: "one"}); err == nil {
		t.Error("said again, it is on disk")
	}
	for i := range 2*maxPending + 100 { // more than are kept one by one
		l.mu.Lock()
		r := record{Revocation{Kind: SID, Value: fmt.Sprint(i), Before: time.Now()}, time.Now()}
		if _, err := l.entries.add(r); err != nil {
			t.Fatal(err)
		}
		l.writing.add(r, time.Now())
		l.mu.Unlock()
	}
	if len(l.writing.records) > maxPending {
		t.Errorf("%d records wait", len(l.writing.records))
	}
	if err := os.Rename(dir+".away", dir); err != nil {
		t.Fatal(err)
	}
	add(t, l, "two")
	if s := l.Status(); s.Pending != 0 || s.PendingErr != nil || s.Err != nil {
		t.Errorf("%+v", s)
	}
	other := onFile(file)
	synced(t, other)
	if !ended(other, "one") || !ended(other, "two") || !ended(other, "0") || !ended(other, fmt.Sprint(2*maxPending+99)) {
		t.Errorf("not all are on disk: %+v", other.Status())
	}
}

func TestStaleness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "state")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		lists := map[bool]*List{}
		keepers := map[bool]*Keeper{}
		for _, deny := range []bool{false, true} {
			lists[deny] = NewList(ListConfig{File: filepath.Join(dir, "list"), Deny: deny})
			keepers[deny] = New(Config{Ring: static(t, keyA), Revocations: lists[deny]})
		}
		line := begin(t, keepers[false], claims("ann"))
		if v := try(keepers[true], line); v != authz.Unavailable {
			t.Errorf("never read: %v", v)
		}
		synced(t, lists[false])
		synced(t, lists[true])
		if err := os.Rename(dir, dir+".away"); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			wait     time.Duration
			deny     authz.Verdict
			tooStale bool
		}{{time.Minute, authz.Allow, false}, {time.Millisecond, authz.Unavailable, true}} {
			time.Sleep(c.wait)
			for deny, l := range lists {
				if l.Sync() == nil {
					t.Error("no folder, and no error")
				}
				want := authz.Allow
				if deny {
					want = c.deny
				}
				if v := try(keepers[deny], line); v != want || l.Status().TooStale != c.tooStale || l.Status().Denies != (want != authz.Allow) {
					t.Errorf("deny %v after another %v: %v, want %v; %+v", deny, c.wait, v, want, l.Status())
				}
			}
		}
		if v := try(keepers[true], "a=b"); v != authz.Deny {
			t.Errorf("no cookie: %v", v)
		}
		if err := os.Rename(dir+".away", dir); err != nil {
			t.Fatal(err)
		}
		synced(t, lists[true])
		if v := try(keepers[true], line); v != authz.Allow || lists[true].Status().TooStale {
			t.Errorf("read again: %v", v)
		}
	})
}

// Writers, readers and those who make the file short race; nothing that Add has confirmed is missing anywhere.
func TestCompactionRaces(t *testing.T) {
	file := filepath.Join(t.TempDir(), "list")
	ctx, cancel := context.WithCancel(t.Context())
	var running, writing sync.WaitGroup
	lists := make([]*List, 4)
	for i := range lists {
		lists[i] = onFile(file)
		running.Go(func() { lists[i].Run(ctx) })
	}
	const each = 60
	var stop sync.WaitGroup
	stop.Go(func() { // makes it short again and again
		l := onFile(file)
		for ctx.Err() == nil {
			synced(t, l)
			if err := l.rewrite(func(r record) error { l.mu.Lock(); defer l.mu.Unlock(); _, err := l.entries.add(r); return err }); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Millisecond) // lets others at the lock
		}
	})
	for i, l := range lists {
		writing.Go(func() {
			for n := range each {
				add(t, l, fmt.Sprintf("%d-%d", i, n))
			}
		})
	}
	writing.Wait()
	cancel()
	running.Wait()
	stop.Wait()
	lists = append(lists, onFile(file))
	for i, l := range lists {
		synced(t, l)
		for w := range 4 {
			for n := range each {
				if id := fmt.Sprintf("%d-%d", w, n); !ended(l, id) {
					t.Errorf("list %d does not know %s", i, id)
				}
			}
		}
	}
}

// Each request with a session asks the list: a long one that is written, or cleared of what is over, keeps nobody waiting for all of that.
func TestALongListKeepsNobodyWaiting(t *testing.T) {
	l := onFile(filepath.Join(t.TempDir(), "list"))
	synced(t, l)
	now := time.Now()
	for i := range 100_000 {
		if _, err := l.entries.add(record{Revocation{Kind: SID, Value: fmt.Sprint(i), Before: now}, now}); err != nil {
			t.Fatal(err)
		}
	}
	breaths := 0
	l.entries.prune(now, time.Hour, func() { breaths++ })
	if want := 100_000 / breath; breaths != want {
		t.Errorf("%d breaths while it is cleared, want %d", breaths, want)
	}
	written := make(chan time.Duration)
	go func() { // ends when it is written
		began := time.Now()
		if err := l.rewrite(func(record) error { return nil }); err != nil {
			t.Error(err)
		}
		written <- time.Since(began)
	}()
	s := &authz.Session{ID: "x", Began: now.Add(time.Hour)}
	for worst := time.Duration(0); ; {
		began := time.Now()
		l.mu.Lock() // who revokes: those who look wait behind him
		l.count++
		l.mu.Unlock()
		l.revoked(s)
		worst = max(worst, time.Since(began))
		select {
		case took := <-written:
			if worst > took/2 {
				t.Errorf("a look waited for %s of the %s in which the list was written", worst, took)
			}
			return
		default:
		}
	}
}
