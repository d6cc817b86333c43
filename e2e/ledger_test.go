package e2e

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// ledger is what the clients of a load counted: they believe nobody but themselves.
type ledger struct {
	mu      sync.Mutex // guards what follows
	done    int        // complete and correct
	refused int        // dials
	lost    []string   // sent, and no complete response; or a tunnel that ended early
	wrong   []string   // complete, and not what was asked for
	own     []string   // never sent: a library failed by itself; the names of the requests
	span    []span     // of every complete exchange

	grown chan struct{} // gets a token when done grew; capacity 1
	pace  time.Duration // rest of a client behind each exchange; set before any begins
	told  atomic.Bool   // SIGTERM was sent: tunnels go past their middle
}

// span is when an exchange was begun and ended.
type span struct{ began, ended time.Time }

func newLedger() *ledger { return &ledger{grown: make(chan struct{}, 1)} }

// complete counts an exchange, and has its client rest.
func (l *ledger) complete(began time.Time) {
	l.count(began)
	if l.pace > 0 {
		time.Sleep(l.pace) // pace of this client, not a wait for the proxy
	}
}

func (l *ledger) count(began time.Time) {
	l.mu.Lock()
	l.done++
	l.span = append(l.span, span{began, time.Now()})
	l.mu.Unlock()
	select {
	case l.grown <- struct{}{}:
	default:
	}
}

// begin renews the deadline of a connection and says when an exchange began on it.
func (l *ledger) begin(w *wire) time.Time {
	now := time.Now()
	_ = w.SetDeadline(now.Add(patience))
	return now
}

func (l *ledger) total() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.done
}

func (l *ledger) losses() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.lost)
}

func (l *ledger) lose(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost = append(l.lost, time.Now().Format(time.RFC3339Nano)+" "+fmt.Sprintf(format, args...))
}

func (l *ledger) reject(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wrong = append(l.wrong, fmt.Sprintf(format, args...))
}

func (l *ledger) refuse() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refused++
}

// warm waits until n exchanges were completed.
func (l *ledger) warm(t *testing.T, n int) {
	t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for {
		l.mu.Lock()
		done, lost := l.done, len(l.lost)+len(l.wrong)+l.refused
		l.mu.Unlock()
		if done >= n {
			return
		}
		if lost > 0 {
			t.Fatalf("before any signal: lost %q, wrong %q, %d refused", l.lost, l.wrong, l.refused)
		}
		select {
		case <-l.grown:
		case <-limit.C:
			t.Fatalf("only %d of %d exchanges after %v", done, n, patience)
		}
	}
}

// load is a closed loop of clients without retries. It ends by itself once its clients
// are refused; quit, closed by the caller, ends it after the exchange under way.
type load func(l *ledger, addr string, quit <-chan struct{}, client int)

// clients starts n of them; wait joins them.
func clients(n int, addr string, l *ledger, quit <-chan struct{}, one load) (wait func()) {
	var running sync.WaitGroup
	for i := range n {
		running.Go(func() { one(l, addr, quit, i) }) // ends when refused, lost or with quit
	}
	return running.Wait
}

// keepAlivePosts sends bodies on one connection for as long as it may.
func keepAlivePosts(l *ledger, addr string, quit <-chan struct{}, client int) {
	body := strings.Repeat(strconv.Itoa(client%10), 100+client*251)
	request := fmt.Sprintf("POST /echo HTTP/1.1\r\nHost: app.example.com\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	exchanges(l, addr, quit, request, body, true)
}

// getsOfTheirOwn uses a connection for each request.
func getsOfTheirOwn(l *ledger, addr string, quit <-chan struct{}, _ int) {
	exchanges(l, addr, quit, get("/each", "Connection: close"), "GET /each by ", false)
}

func exchanges(l *ledger, addr string, quit <-chan struct{}, request, want string, keep bool) {
	var w *wire
	defer func() {
		if w != nil {
			_ = w.Close()
		}
	}()
	for {
		select {
		case <-quit:
			return
		default:
		}
		if w == nil {
			var err error
			if w, err = connect(addr, 4*time.Second); errors.Is(err, errRefused) {
				l.refuse()
				return // no successor: this client is done
			} else if err != nil {
				l.lose("dial: %v", err)
				return
			}
		}
		began := l.begin(w)
		a, err := w.ask(request)
		switch {
		case err != nil:
			l.lose("exchange: %v", err)
			return
		case a.status != 200 || a.body != want:
			l.reject("status %d, %d bytes of body, want %d: %.80q", a.status, len(a.body), len(want), a.body)
			return
		}
		l.complete(began)
		if a.leave || !keep {
			_ = w.Close()
			w = nil
		}
	}
}

// upgradedEchoes is one tunnel by Upgrade.
func upgradedEchoes(l *ledger, addr string, quit <-chan struct{}, client int) {
	echoes(l, addr, get("/tunnel", "Connection: Upgrade", "Upgrade: echo"), 50+client*14)
}

// rawEchoes is one tunnel by TCP.
func rawEchoes(l *ledger, addr string, quit <-chan struct{}, client int) {
	echoes(l, addr, "", 50+client*14)
}

// echoes plays a tunnel of n echoes that its client closes. The second half is sent only
// after SIGTERM, so that every tunnel lives through it.
func echoes(l *ledger, addr, upgrade string, n int) {
	w, err := connect(addr, 4*time.Second)
	if err != nil {
		l.reject("dial: %v", err)
		return
	}
	defer w.Close()
	if upgrade != "" {
		if a, err := w.ask(upgrade); err != nil || a.status != 101 {
			l.reject("upgrade: %d %v", a.status, err)
			return
		}
	}
	for i := range n {
		began := time.Now()
		// Slow enough to reach past the lame duck, into the drain.
		for i >= n/2 && !l.told.Load() {
			if time.Since(began) > patience {
				l.reject("no signal came")
				return
			}
			time.Sleep(time.Millisecond) // pace of this client, not a wait for the proxy
		}
		if i >= n/2 && i%10 == 0 {
			time.Sleep(15 * time.Millisecond) // the same
		}
		line := fmt.Sprintf("echo %d of %d\n", i, n)
		if _, err := io.WriteString(w, line); err != nil {
			l.lose("tunnel at %d of %d: %v", i, n, err)
			return
		}
		if got, err := w.in.ReadString('\n'); err != nil || got != line {
			l.lose("tunnel at %d of %d: got %q, %v", i, n, got, err)
			return
		}
		l.complete(began)
	}
	closing(l, w)
}

// closing ends a tunnel as its client: FIN there, FIN back.
func closing(l *ledger, w *wire) {
	if err := w.Conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		l.lose("close: %v", err)
		return
	}
	if rest, err := io.ReadAll(w.in); err != nil || len(rest) > 0 {
		l.lose("after the last echo: %q, %v", rest, err)
	}
}
