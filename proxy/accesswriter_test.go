package proxy_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluiceproxy/sluice/proxy"
)

// stuck is a pipe that nobody reads, until it is let go.
type stuck struct{ release chan struct{} }

func (s stuck) Write(b []byte) (int, error) {
	<-s.release
	return len(b), nil
}

// A stop does not wait for whoever reads the log.
func TestAccessWriterGivesUpOnAStuckWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := stuck{make(chan struct{})}
		a := proxy.NewAccessWriter(w, 10, 0)
		_, _ = a.Write([]byte("one\n"))
		synctest.Wait() // the first line is with the writer
		_, _ = a.Write([]byte("two\n"))
		_, _ = a.Write([]byte("too long\n"))
		began := time.Now()
		if a.CloseWithin(time.Second) {
			t.Error("a stuck writer was joined")
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("gave up after %v, want 1s", took)
		}
		if got := a.Dropped(); got != 1 {
			t.Errorf("dropped = %d, want 1", got)
		}
		close(w.release)
	})
}

func TestAccessWriterWritesTheRest(t *testing.T) {
	var out strings.Builder
	a := proxy.NewAccessWriter(&out, 0, 0)
	_, _ = a.Write([]byte("one\n"))
	a.WriteLines([]byte("two\n"))
	if !a.CloseWithin(time.Minute) {
		t.Error("not joined")
	}
	if got := out.String(); got != "one\ntwo\n" {
		t.Errorf("wrote %q", got)
	}
}

// pieces writes down what was written when.
type pieces struct {
	began time.Time
	got   []string
}

func (p *pieces) Write(b []byte) (int, error) {
	p.got = append(p.got, fmt.Sprintf("%v: %d", time.Since(p.began), len(b)))
	return len(b), nil
}

// Lines wait for each other, but not for long, and not when much has come, or at the end.
func TestAccessWriterGathers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pieces{began: time.Now()}
		a := proxy.NewAccessWriter(p, 0, 50*time.Millisecond)
		a.WriteLines([]byte("one\n"))
		time.Sleep(20 * time.Millisecond)
		a.WriteLines([]byte("two\n"))
		time.Sleep(100 * time.Millisecond)
		a.WriteLines([]byte(strings.Repeat("x", 70_000)))
		time.Sleep(10 * time.Millisecond)
		a.WriteLines([]byte("last\n"))
		a.Close()
		if got, want := strings.Join(p.got, ", "), "50ms: 8, 120ms: 70000, 130ms: 5"; got != want {
			t.Errorf("wrote %s, want %s", got, want)
		}
	})
}

// cramped takes so many bytes, then none until room is made.
type cramped struct {
	room int
	got  strings.Builder
}

func (c *cramped) Write(b []byte) (int, error) {
	n := min(len(b), c.room)
	c.room -= n
	c.got.Write(b[:n])
	if n < len(b) {
		return n, syscall.ENOSPC
	}
	return n, nil
}

// A file system that is full costs the lines that did not fit, each counted, and a line that
// was cut off spoils no other.
func TestAccessWriterOnAFullFileSystem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &cramped{room: 6}
		a := proxy.NewAccessWriter(w, 0, 0)
		for _, text := range []string{"one\ntwo\n", "three\n"} {
			a.WriteLines([]byte(text))
			synctest.Wait() // it is with the writer
		}
		if got := a.Failed(); got != 2 {
			t.Errorf("%d lines failed, want 2", got)
		}
		w.room = 100
		a.WriteLines([]byte("four\n"))
		a.Close()
		if got := w.got.String(); got != "one\ntw\nfour\n" {
			t.Errorf("wrote %q", got)
		}
		if got := a.Failed(); got != 2 {
			t.Errorf("%d lines failed, want 2", got)
		}
	})
}
