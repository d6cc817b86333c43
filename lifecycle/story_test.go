package lifecycle

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// book keeps what was logged.
type book struct {
	mu    sync.Mutex
	lines []line
}

type line struct {
	level slog.Level
	attrs map[string]slog.Value
}

func (b *book) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelInfo }
func (b *book) WithAttrs([]slog.Attr) slog.Handler           { return b }
func (b *book) WithGroup(string) slog.Handler                { return b }
func (b *book) Handle(_ context.Context, r slog.Record) error {
	l := line{r.Level, map[string]slog.Value{}}
	r.Attrs(func(a slog.Attr) bool { l.attrs[a.Key] = a.Value; return true })
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines = append(b.lines, l)
	return nil
}

// with returns the lines since the last call that carry an attribute.
func (b *book) with(key string) (found []line) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range b.lines {
		if _, ok := l.attrs[key]; ok {
			found = append(found, l)
		}
	}
	return found
}

// One line for each edge; the counts and what the next signal does with every line of
// the stop; heartbeats that name what holds on; warnings that name what is missing.
func TestTheLogTellsTheStory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &book{}
		w := newWorld(t, Config{Log: slog.New(b)})
		target := w.m.Target("policy.sync.initial")
		w.services["b"].drain = func(ctx context.Context) error { <-ctx.Done(); return nil }
		w.run(t.Context())
		target.Waiting(errors.New("no route to host"))
		time.Sleep(31 * time.Second)
		synctest.Wait()
		if got := b.with("waiting_for"); len(got) != 2 || got[0].level != slog.LevelWarn {
			t.Errorf("%d warnings in 31s, want 2: %v", len(got), got)
		}
		target.Ready()
		synctest.Wait()
		w.term()
		if err := <-w.result; err != nil {
			t.Error(err)
		}
		// Starting (services), Starting (targets), and one for each edge.
		if got, want := len(b.with("reason")), 2+len(w.m.Transitions()); got != want {
			t.Errorf("%d lines for edges, want %d", got, want)
		}
		if got := len(b.with("connections")); got < 6 {
			t.Errorf("%d lines with counts", got)
		}
		holding := b.with("holding")
		if len(holding) == 0 || holding[0].attrs["holding"].String() != "drain b" {
			t.Errorf("nobody is named: %v", holding)
		}
		for _, l := range holding {
			if l.attrs["next_signal"].String() == "" {
				t.Errorf("line %v does not say what a signal does", l)
			}
		}
	})
}

func TestFailureIsLoggedAsError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &book{}
		w := newWorld(t, Config{Log: slog.New(b)})
		w.services["a"].start = func(context.Context) error { return errors.New("no") }
		w.run(t.Context())
		<-w.result
		lines := b.with("reason")
		if last := lines[len(lines)-1]; last.level != slog.LevelError {
			t.Errorf("the last line is of level %v", last.level)
		}
	})
}
