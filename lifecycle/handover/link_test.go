package handover

import (
	"io"
	"strings"
	"testing"
	"testing/synctest"
)

// said is how far a link has come.
func said(l *Link) (s string) {
	for _, stage := range []struct {
		ch   <-chan struct{}
		word string
	}{{l.Permitted(), "P"}, {l.Switched(), "S"}, {l.Alone(), "C"}, {l.Kept(), "K"}} {
		select {
		case <-stage.ch:
			s += stage.word
		default:
		}
	}
	return s
}

// What the predecessor says is latched in its order, and its end says everything.
func TestLink(t *testing.T) {
	for _, tt := range []struct{ words, want string }{
		{"", ""}, {"P", "P"}, {"PS", "PS"}, {"PSC", "PSC"}, {"S", ""}, {"?P?S", "PS"}, {"P.", "PSC"}, {".", "PSC"}, {"PK", "PK"}, {"KK", "K"},
	} {
		synctest.Test(t, func(t *testing.T) {
			r, w := io.Pipe()
			l := startLink(r)
			for _, c := range []byte(tt.words) {
				if c == '.' {
					w.Close()
				} else if _, err := w.Write([]byte{c}); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
			if got := said(l); got != tt.want {
				t.Errorf("%q: heard %q, want %q", tt.words, got, tt.want)
			}
			l.Close()
			<-l.done
			if got := said(l); !strings.HasPrefix(got, "PSC") {
				t.Errorf("%q: after Close %q", tt.words, got)
			}
		})
	}
}
