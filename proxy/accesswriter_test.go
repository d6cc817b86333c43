package proxy_test

import (
	"strings"
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
		a := proxy.NewAccessWriter(w, 10)
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
	a := proxy.NewAccessWriter(&out, 0)
	_, _ = a.Write([]byte("one\n"))
	a.WriteLines([]byte("two\n"))
	if !a.CloseWithin(time.Minute) {
		t.Error("not joined")
	}
	if got := out.String(); got != "one\ntwo\n" {
		t.Errorf("wrote %q", got)
	}
}
