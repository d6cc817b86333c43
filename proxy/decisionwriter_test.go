package proxy

import (
	"bytes"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// disk is a writer that may be full, and then takes a few bytes at most.
type disk struct {
	mu   sync.Mutex
	got  bytes.Buffer
	room int // negative: for ever
}

func (d *disk) Write(b []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.room < 0 || len(b) <= d.room {
		d.got.Write(b)
		return len(b), nil
	}
	n := d.room
	d.got.Write(b[:n])
	d.room = 0
	return n, errors.New("full")
}

func (d *disk) give(room int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.room = room
}

// What a decision log took it writes, as soon as there is space again, each line once and whole.
func TestDecisionsOutliveAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{room: 5}
		a := NewDecisionWriter(d, 64, 0)
		taken := ""
		for i := 0; a.TryLines([]byte("line-" + string(rune('a'+i)) + "\n")); i++ {
			taken += "line-" + string(rune('a'+i)) + "\n"
			synctest.Wait()
			if i > 20 {
				t.Fatal("a full disk has room without end")
			}
		}
		if a.Dropped() != 0 {
			t.Errorf("%d dropped by an attempt", a.Dropped())
		}
		a.WriteLines([]byte("x\ny\n"))
		if a.Dropped() != 2 {
			t.Errorf("%d dropped, want 2", a.Dropped())
		}
		time.Sleep(time.Minute)
		d.give(-1)
		time.Sleep(time.Second)
		synctest.Wait()
		if got := d.got.String(); got != taken || !strings.HasPrefix(got, "line-a\nline-b\n") {
			t.Errorf("got %q, want %q", got, taken)
		}
		if !a.TryLines([]byte("later\n")) {
			t.Error("no room although all was written")
		}
		a.Close()
		if !strings.HasSuffix(d.got.String(), "later\n") || a.Failed() != 0 {
			t.Errorf("got %q, %d failed", d.got.String(), a.Failed())
		}
	})
}

// The end does not wait for a disk that stays full, and says what is lost.
func TestDecisionsThatAreLostAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := NewDecisionWriter(&disk{}, 0, 0)
		a.WriteLines([]byte("a\nb\n"))
		synctest.Wait()
		a.WriteLines([]byte("c\n"))
		a.Close()
		if a.Failed() != 3 || a.TryLines([]byte("d\n")) {
			t.Errorf("%d failed, or a closed log takes more", a.Failed())
		}
	})
}
