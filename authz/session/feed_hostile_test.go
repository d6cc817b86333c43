package session

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// shelf is a feed whose lines somebody else can write, and which can be put back.
type shelf struct {
	mu        sync.Mutex
	lines     []string
	at        []int64 // the point of each
	point     int64
	published int
}

func (f *shelf) Name() string { return "shelf" }

func (f *shelf) Since(_ context.Context, after int64) (lines [][]byte, now int64, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, l := range f.lines {
		if f.at[i] > after {
			lines = append(lines, []byte(l))
		}
	}
	return lines, f.point, nil
}

func (f *shelf) Publish(_ context.Context, line []byte, _ time.Duration) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.published++
	f.put(string(line))
	return nil
}

// put writes a line; f.mu is held.
func (f *shelf) put(line string) {
	f.point++
	f.lines, f.at = append(f.lines, line), append(f.at, f.point)
}

func (f *shelf) Watch(ctx context.Context) <-chan struct{} {
	c := make(chan struct{})
	go func() { <-ctx.Done(); close(c) }()
	return c
}

// sharingOn runs a list on a feed until the test ends.
func sharingOn(t *testing.T, f Feed) (l *List, stop func()) {
	t.Helper()
	l = NewList(ListConfig{Feed: f})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); l.RunFeed(ctx) }()
	return l, func() { cancel(); <-done }
}

// A line that nobody can read makes the feed doubtful, and does not keep others from hearing of what is revoked here.
func TestALineOfNobodyKeepsNothingBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &shelf{}
		f.put("what is this")
		l, stop := sharingOn(t, f)
		defer stop()
		if err := l.Add(t.Context(), Revocation{Kind: SID, Value: "s1", Before: time.Now()}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.published == 0 {
			t.Error("nothing was published")
		}
		if s, _ := l.FeedStatus(); s.Err == nil {
			t.Error("the feed counts as read, with a line that may have ended any session")
		}
	})
}

// A store that was put back to an earlier state has lost what was there since, and has points that were used before.
func TestAFeedThatWasPutBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &shelf{point: 1000}
		l, stop := sharingOn(t, f)
		defer stop()
		if err := l.Add(t.Context(), Revocation{Kind: SID, Value: "mine", Before: time.Now()}); err != nil {
			t.Fatal(err)
		}
		if err := l.AwaitFeed(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		f.mu.Lock()
		f.point, f.lines, f.at, f.published = 500, nil, nil, 0
		f.put(string(appendLine(nil, record{Revocation{Kind: SID, Value: "another's", Before: time.Now()}, time.Now()})))
		f.mu.Unlock()
		time.Sleep(time.Minute)
		synctest.Wait()
		l.mu.RLock()
		_, known := l.entries.sids["another's"]
		l.mu.RUnlock()
		f.mu.Lock()
		defer f.mu.Unlock()
		if !known || f.published == 0 {
			t.Errorf("the other's revocation is known: %v; ours was published anew %d times", known, f.published)
		}
	})
}
