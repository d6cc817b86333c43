package synshed

import (
	"context"
	"sync/atomic"
	"time"
)

// cookieEvery is how often the count of SYN cookies is read. A close compares with a
// reading that is one to two intervals old: handshakes that began by cookie before
// that are long over.
const cookieEvery = 10 * time.Second

// CookieWatch keeps readings of [CountCookies] for whoever closes listeners. Begin it before
// the rest. Safe for concurrent use.
type CookieWatch struct {
	older, newer atomic.Pointer[Cookies]
}

// Begin takes the first reading.
func (w *CookieWatch) Begin() { w.read() }

// Older is a reading from long enough ago for [Begin], [Empty] and [Close].
func (w *CookieWatch) Older() Cookies {
	if c := w.older.Load(); c != nil {
		return *c
	}
	return Cookies{}
}

// Run reads until ctx ends.
func (w *CookieWatch) Run(ctx context.Context) {
	t := time.NewTicker(cookieEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			w.read()
		case <-ctx.Done():
			return
		}
	}
}

func (w *CookieWatch) read() {
	now := CountCookies()
	if prev := w.newer.Load(); prev != nil {
		w.older.Store(prev)
	} else {
		w.older.Store(&now)
	}
	w.newer.Store(&now)
}
