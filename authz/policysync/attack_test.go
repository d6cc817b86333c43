package policysync

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// A head with other signatures is kept later too, if what was kept could not be read for a moment (no file descriptor is left, ...).
func TestOtherSignaturesAreKeptLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		r := newRig(t, keepIn(dir, 0))
		raw := func(text string) func(*Head) { return func(h *Head) { h.Ordered = true; h.Raw = []byte(text) } }
		r.source.publish(7, good, raw("old signatures"))
		r.start(t)
		r.settle()
		file, aside := filepath.Join(dir, lastGoodFile), filepath.Join(dir, "aside")
		if err := os.Rename(file, aside); err != nil {
			t.Fatal(err)
		}
		r.source.publish(7, good, raw("new signatures"))
		time.Sleep(15 * time.Second)
		synctest.Wait()
		if err := os.Rename(aside, file); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if g, err := readLastGood(dir); err != nil || !bytes.Equal(g.Head, []byte("new signatures")) {
			t.Errorf("an hour later: kept %q (%v), state error %q", g.Head, err, r.Status().StateError)
		}
	})
}

// A hint does not make a first policy come later than it would without one.
func TestAHintDelaysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.source.hints = make(chan struct{}, 1)
		r.source.fail(ErrNoPolicy)
		r.start(t)
		time.Sleep(50 * time.Millisecond)
		r.source.publish(1, good)
		r.source.hints <- struct{}{}
		began := time.Now()
		for r.Status().Version.Number != 1 {
			time.Sleep(10 * time.Millisecond)
		}
		if took := time.Since(began); took > firstRetry {
			t.Errorf("in force after %v; without a hint after %v", took, firstRetry-50*time.Millisecond)
		}
	})
}

// A reload is not kept waiting by the pace of hints.
func TestAReloadDoesNotWaitForThePace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.source.hints = make(chan struct{}, 1)
		r.source.publish(1, bad)
		r.start(t)
		r.settle()
		r.source.hints <- struct{}{}
		time.Sleep(10 * time.Millisecond)
		r.source.publish(2, good)
		began := time.Now()
		if err := r.Reload(t.Context()); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > paceGood {
			t.Errorf("it took %v", took)
		}
	})
}

// threeVersions is a store that has had versions 1 to 3.
func threeVersions(t *testing.T) *DirStore {
	t.Helper()
	s := NewDirStore(t.TempDir())
	var present []byte
	for n := uint64(1); n <= 3; n++ {
		next := fmt.Appendf(nil, `{"version":%d,"objects":{"a.yaml":"%s"}}`+"\n", n, hashOf([]byte("a")))
		if err := s.Swap(t.Context(), present, next, n); err != nil {
			t.Fatal(err)
		}
		present = next
	}
	return s
}

// Somebody who may write to the store and has no key hides no earlier version from a rollback.
func TestAForgedHeadHidesNoVersion(t *testing.T) {
	s := threeVersions(t)
	forged := []byte(`{"version":1,"objects":{"a.yaml":"` + hashOf([]byte("forged")) + `"}}` + "\n")
	if err := os.WriteFile(filepath.Join(s.path, "head"), forged, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Past(t.Context(), s, nil, 3); err != nil {
		t.Errorf("rollback to 3: %v", err)
	}
}

// A junk file among the heads takes neither history nor rollback away.
func TestJunkAmongHeads(t *testing.T) {
	s := threeVersions(t)
	if err := os.WriteFile(filepath.Join(s.path, "heads", headName(0)), make([]byte, MaxRawHead+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if list, err := s.Heads(t.Context(), 0); err != nil || len(list) != 3 {
		t.Errorf("%d heads, %v", len(list), err)
	}
}

// What is owed is kept with each round, whatever the source gives meanwhile: who writes an unsigned head, or takes the store away,
// does not decide whether the highest number outlives this process.
func TestWhatIsOwedIsKeptWhateverTheSourceGives(t *testing.T) {
	for name, then := range map[string]func(*memory){
		"a bad head":           func(m *memory) { m.publish(8, bad, ordered) },
		"a store that is away": func(m *memory) { m.fail(os.ErrDeadlineExceeded) },
		"a head of nobody":     func(m *memory) { m.fail(&Refusal{BadSignature, Version{}, os.ErrInvalid}) },
		"an old head put back": func(m *memory) { m.publish(6, good2, ordered) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				file := filepath.Join(t.TempDir(), "file")
				if err := os.WriteFile(file, nil, 0o600); err != nil {
					t.Fatal(err)
				}
				r := newRig(t, keepIn(file, 0))
				r.source.publish(7, good, ordered)
				r.start(t)
				r.settle()
				then(r.source)
				time.Sleep(time.Minute)
				if err := os.Remove(file); err != nil { // the disk is there again
					t.Fatal(err)
				}
				time.Sleep(time.Hour)
				synctest.Wait()
				if v, err := readHighest(file); err != nil || v.Number != 7 {
					t.Errorf("an hour later, highest %+v (%v), in force %d", v, err, r.Status().Version.Number)
				}
				if err := r.Close(); err != nil {
					t.Fatal(err)
				}
				next := newRig(t, keepIn(file, 0))
				next.source.publish(6, good2, ordered)
				next.start(t)
				next.settle()
				if n := next.Status().Version.Number; n != 0 {
					t.Errorf("the next process took the replayed version %d", n)
				}
			})
		})
	}
}
