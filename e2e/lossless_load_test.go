package e2e

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// What the clients of the restarts do, all of it at once. None of them tries anything twice.

// class is one kind of client: how many there are, and what each does.
type class struct {
	name string
	n    int
	to   entrance
	one  load
}

// entrance is a listener that clients dial.
type entrance int

const (
	toWeb  entrance = iota // http in the clear
	toRaw                  // tcp
	toVeil                 // http by TLS
)

// classes are all of them; sockets is the upstream of the WebSockets.
func classes(sockets *sockets) []class {
	return []class{
		{"keep-alive", 4, toWeb, keepAlivePosts},
		{"connection per request", 4, toWeb, getsOfTheirOwn},
		{"pipelined batches", 3, toWeb, batches},
		{"uploads", 2, toWeb, uploads},
		{"server-sent events", 3, toWeb, eventStreams},
		{"Upgrade tunnels", 3, toWeb, upgradedTunnels},
		{"TCP tunnels", 3, toRaw, rawTunnels},
		{"open loop", 1, toWeb, openLoop},
		{"keep-alive by TLS", 2, toVeil, keepAlivePosts},
		{"HTTP/2 posts", 2, toWeb, h2Posts},
		{"HTTP/2 posts by TLS", 2, toVeil, h2Posts},
		{"WebSockets", 2, toWeb, sockets.talkers("ws")},
		{"WebSockets by TLS", 2, toVeil, sockets.talkers("wss")},
	}
}

// door finds its way in, or tells that there is none any more; then the client is done.
func door(l *ledger, addr string) *wire {
	w, err := connect(addr, patience)
	switch {
	case errors.Is(err, errRefused):
		l.refuse()
		return nil
	case err != nil:
		l.lose("dial: %v", err)
		return nil
	}
	return w
}

// each asks again and again on connections that are kept for as long as they may be.
// again sends and reads, and says whether the connection is of use afterwards.
func each(l *ledger, addr string, quit <-chan struct{}, again func(w *wire) (keep bool, err error)) {
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
			if w = door(l, addr); w == nil {
				return
			}
		}
		began := l.begin(w)
		keep, err := again(w)
		if err != nil {
			l.lose("%v", err)
			return
		}
		l.complete(began)
		if !keep {
			_ = w.Close()
			w = nil
		}
	}
}

// batches sends four requests in one piece and reads four answers.
func batches(l *ledger, addr string, quit <-chan struct{}, _ int) {
	batch := get("/b1") + get("/b2") + get("/b3") + get("/b4")
	each(l, addr, quit, func(w *wire) (bool, error) {
		if _, err := io.WriteString(w, batch); err != nil {
			return false, fmt.Errorf("batch: %w", err)
		}
		for i := range 4 {
			a, err := w.read("GET")
			if want := fmt.Sprintf("GET /b%d by ", i+1); err != nil || a.status != 200 || a.body != want {
				return false, fmt.Errorf("answer %d of a batch: %d %q, %w", i+1, a.status, a.body, orShort(err))
			}
			if a.leave && i < 3 {
				return false, fmt.Errorf("told to leave by answer %d of 4", i+1)
			}
			if a.leave {
				return false, nil
			}
		}
		return true, nil
	})
}

func orShort(err error) error {
	if err == nil {
		return errShort
	}
	return err
}

// uploads sends bodies in pieces, with pauses in which a stop may come.
func uploads(l *ledger, addr string, quit <-chan struct{}, _ int) {
	const pieces = 8
	piece := strings.Repeat("upload! ", 4<<10)
	each(l, addr, quit, func(w *wire) (bool, error) {
		if _, err := io.WriteString(w, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"); err != nil {
			return false, fmt.Errorf("upload: %w", err)
		}
		for range pieces {
			if _, err := fmt.Fprintf(w, "%x\r\n%s\r\n", len(piece), piece); err != nil {
				return false, fmt.Errorf("upload: %w", err)
			}
			time.Sleep(slower(3 * time.Millisecond)) // pace of this client, not a wait for the proxy
		}
		if _, err := io.WriteString(w, "0\r\n\r\n"); err != nil {
			return false, fmt.Errorf("upload: %w", err)
		}
		a, err := w.read("POST")
		if err != nil || a.status != 200 || len(a.body) != pieces*len(piece) {
			return false, fmt.Errorf("upload: %d, %d bytes, %w", a.status, len(a.body), orShort(err))
		}
		return !a.leave, nil
	})
}

// eventStreams reads streams of 150 ms to their last event.
func eventStreams(l *ledger, addr string, quit <-chan struct{}, _ int) {
	each(l, addr, quit, func(w *wire) (bool, error) {
		a, err := w.ask(get("/events?d=150ms"))
		if err != nil || a.status != 200 || !strings.HasSuffix(a.body, eventsEnd) {
			return false, fmt.Errorf("events: %d, %d bytes, %w", a.status, len(a.body), orShort(err))
		}
		return !a.leave, nil
	})
}

func upgradedTunnels(l *ledger, addr string, quit <-chan struct{}, client int) {
	tunnels(l, addr, quit, get("/tunnel", "Connection: Upgrade", "Upgrade: echo"), client)
}

func rawTunnels(l *ledger, addr string, quit <-chan struct{}, client int) {
	tunnels(l, addr, quit, "", client)
}

// tunnels opens one after the other, echoes through each for a while, and ends it.
func tunnels(l *ledger, addr string, quit <-chan struct{}, upgrade string, client int) {
	for {
		select {
		case <-quit:
			return
		default:
		}
		w := door(l, addr)
		if w == nil {
			return
		}
		ok := oneTunnel(l, w, upgrade, slowerCount(20+10*client))
		_ = w.Close()
		if !ok {
			return
		}
	}
}

func oneTunnel(l *ledger, w *wire, upgrade string, echoes int) bool {
	began := l.begin(w)
	if upgrade != "" {
		if a, err := w.ask(upgrade); err != nil || a.status != 101 {
			l.lose("upgrade: %d %v", a.status, err)
			return false
		}
	}
	for i := range echoes {
		line := fmt.Sprintf("echo %d of %d\n", i, echoes)
		if _, err := io.WriteString(w, line); err != nil {
			l.lose("tunnel at %d of %d: %v", i, echoes, err)
			return false
		}
		if got, err := w.in.ReadString('\n'); err != nil || got != line {
			l.lose("tunnel at %d of %d: got %q, %v", i, echoes, got, err)
			return false
		}
		time.Sleep(slower(5 * time.Millisecond)) // pace of this client, not a wait for the proxy
	}
	lost := l.losses()
	closing(l, w)
	if l.losses() > lost {
		return false
	}
	l.complete(began)
	return true
}

// openLoop sends a request every 10 ms on a connection of its own, whatever became of those
// before: a stall makes it no slower. It stops at the first door that is closed.
func openLoop(l *ledger, addr string, quit <-chan struct{}, _ int) {
	var running sync.WaitGroup
	defer running.Wait()
	gone := make(chan struct{})
	var once sync.Once
	tick := time.NewTicker(slower(10 * time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-quit:
			return
		case <-gone:
			return
		case due := <-tick.C:
			running.Go(func() { // ends with the answer, or its deadline
				w := door(l, addr)
				if w == nil {
					once.Do(func() { close(gone) })
					return
				}
				defer w.Close()
				a, err := w.ask(get("/open", "Connection: close"))
				if err != nil || a.status != 200 || a.body != "GET /open by " {
					l.lose("open loop: %d %q, %v", a.status, a.body, err)
					return
				}
				l.complete(due)
			})
		}
	}
}
