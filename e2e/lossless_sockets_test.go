package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// WebSockets in the load of the restarts: each is to end with a whole Close.

// talkers open one WebSocket after the other, and talk until it ends: by the proxy's Close, or by their own once quit
// is closed. Each message that comes is an exchange.
func (u *sockets) talkers(kind string) load {
	fleet := talkerFleets.Add(1)
	return func(l *ledger, addr string, quit <-chan struct{}, client int) {
		for n := 0; ; n++ {
			select {
			case <-quit:
				return
			default:
			}
			w := door(l, addr)
			if w == nil || !u.oneTalk(l, w, fmt.Sprintf("/socket/%s-%d-%d/%d", kind, fleet, client, n), quit) {
				return
			}
		}
	}
}

// talkerFleets counts the loads of WebSockets, so that no two of them have one path.
var talkerFleets atomic.Int64

// oneTalk plays one WebSocket to its end, and says whether it was a good one.
func (u *sockets) oneTalk(l *ledger, w *wire, path string, quit <-chan struct{}) bool {
	defer w.Close()
	l.begin(w)
	a, err := w.ask(get(path, "Connection: Upgrade", "Upgrade: websocket"))
	if err != nil || a.status != http.StatusSwitchingProtocols {
		l.lose("%s: status %d, %v", path, a.status, err)
		return false
	}
	e := &socketEnd{c: w.Conn, in: w.in, client: true, most: largest(path), pace: u.pace, quit: quit}
	e.each = func() { l.count(time.Now()) }
	e.talk()
	s := u.end(path)
	select {
	case <-s.over:
	case <-time.After(patience):
		l.lose("%s: its other end goes on", path)
		return false
	}
	for name, e := range map[string]*socketEnd{"client": e, "server": s} {
		switch {
		case e.err != nil:
			l.lose("%s: %s: %v", path, name, e.err)
			return false
		case e.code == 1000 && isClosed(quit): // by the client
		case e.code != u.want || !strings.Contains(e.reason, "retry-after="):
			l.lose("%s: the %s heard %d %q, want %d and a hint", path, name, e.code, e.reason, u.want)
			return false
		}
	}
	if s.read != e.sent {
		l.lose("%s: %d messages were sent, and %d arrived", path, e.sent, s.read)
		return false
	}
	u.mu.Lock()
	u.closes[e.code]++
	u.mu.Unlock()
	return true
}

func isClosed(quit <-chan struct{}) bool {
	select {
	case <-quit:
		return true
	default:
		return false
	}
}
