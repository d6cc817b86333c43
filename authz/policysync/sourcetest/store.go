package sourcetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sluiceproxy/sluice/authz/policy"
	"github.com/sluiceproxy/sluice/authz/policysync"
)

// RunStore runs the suite of stores, and that of sources on what FromStore makes of one. open
// makes a store that holds nothing; further stores of the same place, as other processes have
// them, are what again returns.
func RunStore(t *testing.T, open func(t *testing.T) (store policysync.Store, again func(t *testing.T) policysync.Store)) {
	for name, test := range map[string]func(*testing.T, policysync.Store, func(*testing.T) policysync.Store){
		"an empty store":                         emptyStore,
		"objects are put, put again and gone":    objects,
		"the head is swapped, or not at all":     swaps,
		"of many publishers one is first":        race,
		"heads are kept, newest first":           heads,
		"a head has the number it is kept under": misplaced,
		"what is too large is refused":           tooLarge,
		"a head is whole while it is swapped":    swappedWhileReading,
		"a done context is an error of a store":  cancelledStore,
	} {
		t.Run(name, func(t *testing.T) {
			store, again := open(t)
			test(t, store, again)
		})
	}
	t.Run("as a source", func(t *testing.T) {
		Run(t, func(t *testing.T) Fixture {
			store, _ := open(t)
			version := uint64(0)
			return Fixture{
				Source: policysync.FromStore(store, nil),
				Publish: func(t *testing.T, files map[string]string) {
					version++
					publish(t, store, version, files)
				},
			}
		})
	})
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// rawHead is a head of a version that consists of files.
func rawHead(version uint64, files map[string]string) []byte {
	m := policysync.Manifest{Version: version, Prev: version - 1, Objects: map[string]string{}}
	for name, text := range files {
		m.Objects[name] = sum([]byte(text))
	}
	b, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return append(b, '\n')
}

// present is the head as it is; nil if there is none.
func present(t *testing.T, s policysync.Store) []byte {
	t.Helper()
	raw, err := s.RawHead(t.Context())
	if err != nil && !errors.Is(err, policysync.ErrNoPolicy) {
		t.Fatal(err)
	}
	return raw
}

// publish makes files the version, as a publisher that is alone.
func publish(t *testing.T, s policysync.Store, version uint64, files map[string]string) {
	t.Helper()
	for _, text := range files {
		if err := s.Put(t.Context(), sum([]byte(text)), []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Swap(t.Context(), present(t, s), rawHead(version, files), version); err != nil {
		t.Fatal(err)
	}
}

func emptyStore(t *testing.T, s policysync.Store, _ func(*testing.T) policysync.Store) {
	if s.Name() == "" {
		t.Error("the store has no name")
	}
	if raw, err := s.RawHead(t.Context()); !errors.Is(err, policysync.ErrNoPolicy) {
		t.Errorf("head %q, %v; want ErrNoPolicy", raw, err)
	}
	if list, err := s.Heads(t.Context(), 0); err != nil || len(list) != 0 {
		t.Errorf("heads %q, %v", list, err)
	}
}

func objects(t *testing.T, s policysync.Store, again func(*testing.T) policysync.Store) {
	other := again(t)
	for _, text := range []string{"one", "", "line\nline\x00\xff"} {
		hash := sum([]byte(text))
		if b, err := other.Fetch(t.Context(), hash); !errors.Is(err, policysync.ErrGone) {
			t.Errorf("%q before it was put: %q, %v; want ErrGone", text, b, err)
		}
		for range 2 {
			if err := s.Put(t.Context(), hash, []byte(text)); err != nil {
				t.Errorf("put %q: %v", text, err)
			}
			if b, err := other.Fetch(t.Context(), hash); err != nil || string(b) != text {
				t.Errorf("got %q, %v; want %q", b, err, text)
			}
		}
	}
	for _, bad := range []string{"", "x", "../head", "/etc/hosts", "ABCD" + sum(nil)[4:]} {
		if err := s.Put(t.Context(), bad, []byte("x")); err == nil {
			t.Errorf("put under the name %q", bad)
		}
		if b, err := s.Fetch(t.Context(), bad); err == nil {
			t.Errorf("Fetch(%q) gave %q", bad, b)
		}
	}
	if raw := present(t, s); raw != nil {
		t.Errorf("objects made a head: %q", raw)
	}
}

func swaps(t *testing.T, s policysync.Store, again func(*testing.T) policysync.Store) {
	other := again(t)
	first, second, third := rawHead(1, nil), rawHead(2, nil), rawHead(3, nil)
	for i, step := range []struct {
		old, next []byte
		number    uint64
		conflict  bool
		now       []byte
	}{
		{second, third, 3, true, nil}, // nothing is there
		{[]byte{}, third, 3, true, nil},
		{nil, first, 1, false, first},
		{nil, second, 2, true, first},
		{second, third, 3, true, first},
		{bytes.TrimSpace(first), second, 2, true, first}, // almost
		{first, second, 2, false, second},
		{first, third, 3, true, second}, // late
		{second, third, 3, false, third},
	} {
		err := s.Swap(t.Context(), step.old, step.next, step.number)
		if errors.Is(err, policysync.ErrConflict) != step.conflict || err != nil && !step.conflict {
			t.Errorf("step %d: %v", i, err)
		}
		if got := present(t, other); !bytes.Equal(got, step.now) {
			t.Errorf("step %d: the head is %q, want %q", i, got, step.now)
		}
		s, other = other, s
	}
}

func race(t *testing.T, s policysync.Store, again func(*testing.T) policysync.Store) {
	const publishers, each = 4, 8
	var lost atomic.Int64
	var group sync.WaitGroup
	for range publishers {
		mine := again(t)
		group.Go(func() {
			for done := 0; done < each; {
				raw := present(t, mine)
				number := uint64(1)
				if raw != nil {
					h, err := policysync.OpenHead(raw, nil)
					if err != nil {
						t.Error(err)
						return
					}
					number = h.Version.Number + 1
				}
				switch err := mine.Swap(t.Context(), raw, rawHead(number, nil), number); {
				case err == nil:
					done++
				case errors.Is(err, policysync.ErrConflict):
					lost.Add(1)
				default:
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	if h, err := policysync.OpenHead(present(t, s), nil); err != nil || h.Version.Number != publishers*each {
		t.Errorf("version %v, %v after %d publications: one overwrote another (%d were refused)", h.Version, err, publishers*each, lost.Load())
	}
	if list, err := s.Heads(t.Context(), 0); err != nil || len(list) != publishers*each {
		t.Errorf("%d heads are kept, %v; want %d", len(list), err, publishers*each)
	}
}

func heads(t *testing.T, s policysync.Store, again func(*testing.T) policysync.Store) {
	// Numbers that sort otherwise as text, and one that was left out.
	numbers := []uint64{1, 2, 9, 10, 11, 100, 1 << 40}
	var want [][]byte
	for _, n := range numbers {
		publish(t, s, n, map[string]string{"a.yaml": fmt.Sprint(n)})
		want = append([][]byte{present(t, s)}, want...)
	}
	for _, limit := range []int{0, 1, 3, len(numbers), len(numbers) + 1} {
		n := limit
		if limit == 0 || limit > len(want) {
			n = len(want)
		}
		list, err := again(t).Heads(t.Context(), limit)
		if err != nil || len(list) != n {
			t.Fatalf("limit %d: %d heads, %v; want %d", limit, len(list), err, n)
		}
		for i := range list {
			if !bytes.Equal(list[i], want[i]) {
				t.Errorf("limit %d: head %d is %q, want %q", limit, i, list[i], want[i])
			}
		}
	}
}

func misplaced(t *testing.T, s policysync.Store, again func(*testing.T) policysync.Store) {
	publish(t, s, 1, map[string]string{"a.yaml": "1"})
	one := present(t, s)
	for _, under := range []uint64{2, 99} { // what one that may write to the store can do by hand
		if err := s.Swap(t.Context(), present(t, s), rawHead(1, map[string]string{"a.yaml": "forged"}), under); err != nil {
			t.Fatal(err)
		}
	}
	forged := present(t, s)
	if list, err := again(t).Heads(t.Context(), 0); err != nil || len(list) != 2 || !bytes.Equal(list[0], forged) || !bytes.Equal(list[1], one) {
		t.Errorf("%d heads, %v: %q; want the present one, %q, and the one that it claims to be", len(list), err, list, forged)
	}
	publish(t, s, 3, map[string]string{"a.yaml": "3"})
	for _, limit := range []int{0, 2} {
		if list, err := again(t).Heads(t.Context(), limit); err != nil || len(list) != 2 || !bytes.Equal(list[0], present(t, s)) || !bytes.Equal(list[1], one) {
			t.Errorf("limit %d: %d heads, %v: %q; want 3 and 1", limit, len(list), err, list)
		}
	}
}

func tooLarge(t *testing.T, s policysync.Store, _ func(*testing.T) policysync.Store) {
	big := make([]byte, policy.MaxSize+1)
	if err := s.Put(t.Context(), sum(big), big); !errors.Is(err, policysync.ErrTooLarge) {
		t.Errorf("put: %v, want ErrTooLarge", err)
	}
	if _, err := s.Fetch(t.Context(), sum(big)); !errors.Is(err, policysync.ErrGone) {
		t.Errorf("it is there: %v", err)
	}
	if err := s.Swap(t.Context(), nil, make([]byte, policysync.MaxRawHead+1), 1); !errors.Is(err, policysync.ErrTooLarge) {
		t.Errorf("swap: %v, want ErrTooLarge", err)
	}
	if raw := present(t, s); raw != nil {
		t.Error("it is the head")
	}
}

// swappedWhileReading reads while another publishes: each head is whole, none is older than one
// that was read before, and all that it names is there.
func swappedWhileReading(t *testing.T, s policysync.Store, again func(*testing.T) policysync.Store) {
	publish(t, s, 1, map[string]string{"a.yaml": "1"})
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		source := policysync.FromStore(again(t), nil)
		readers.Go(func() {
			for last := uint64(0); ; {
				select {
				case <-stop:
					return
				default:
				}
				h, err := source.Head(context.Background())
				if err != nil {
					t.Error(err)
					return
				}
				if h.Version.Number < last {
					t.Errorf("version %d after %d", h.Version.Number, last)
				}
				last = h.Version.Number
				for _, o := range h.Objects {
					if b, err := source.Fetch(context.Background(), o.Hash); err != nil || string(b) != fmt.Sprint(last) {
						t.Errorf("version %d: %q, %v", last, b, err)
					}
				}
			}
		})
	}
	for n := uint64(2); n <= 50; n++ {
		publish(t, s, n, map[string]string{"a.yaml": fmt.Sprint(n)})
	}
	close(stop)
	readers.Wait()
}

func cancelledStore(t *testing.T, s policysync.Store, _ func(*testing.T) policysync.Store) {
	publish(t, s, 1, map[string]string{"a.yaml": "one"})
	before := present(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, headErr := s.RawHead(ctx)
	_, fetchErr := s.Fetch(ctx, sum([]byte("one")))
	_, headsErr := s.Heads(ctx, 0)
	for call, err := range map[string]error{
		"RawHead": headErr, "Fetch": fetchErr, "Heads": headsErr,
		"Put":  s.Put(ctx, sum([]byte("two")), []byte("two")),
		"Swap": s.Swap(ctx, before, rawHead(2, nil), 2),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", call, err)
		}
	}
	if !bytes.Equal(present(t, s), before) {
		t.Error("the head changed")
	}
}
