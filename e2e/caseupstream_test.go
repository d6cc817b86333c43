package e2e

import (
	"bytes"
	"errors"
	"io"
	"net"
	"path"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// arrival is something that the recording upstream got on one of its connections.
type arrival struct {
	conn int
	msg  *message // whole, and without a fault
	raw  string   // everything else: a beginning that was never finished, or what is no request
	err  error    // errMore: a beginning
}

// recorder is an upstream that keeps every byte it gets and answers by the script of the
// running case. It is as strict as a reader can be: one fault ends a connection.
type recorder struct {
	ln      net.Listener
	running sync.WaitGroup
	pieces  atomic.Bool // replies are sent in pieces

	mu      sync.Mutex // guards what follows
	current *wireCase
	seen    []arrival
	conns   map[int]*recorded
	next    int
	changed chan struct{} // closed and replaced at every change
}

// recorded is one connection of the recorder. Owned by its goroutine but for open,
// pending and late.
type recorded struct {
	net.Conn
	id      int
	pending int    // bytes of a request that has not ended yet
	late    string // what follows {then} in the reply
}

func newRecorder(t *testing.T) *recorder {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{ln: ln, conns: map[int]*recorded{}, changed: make(chan struct{})}
	r.running.Go(r.accept) // ends with ln
	t.Cleanup(func() {
		_ = ln.Close()
		r.mu.Lock()
		for _, c := range r.conns {
			_ = c.Close()
		}
		r.mu.Unlock()
		r.running.Wait()
	})
	return r
}

func (r *recorder) addr() string { return r.ln.Addr().String() }

func (r *recorder) accept() {
	for {
		conn, err := r.ln.Accept()
		if err != nil {
			return
		}
		r.mu.Lock()
		r.next++
		c := &recorded{Conn: conn, id: r.next}
		r.conns[c.id] = c
		r.mu.Unlock()
		r.running.Go(func() { r.serve(c) }) // ends with the connection
	}
}

func (r *recorder) update(f func()) {
	r.mu.Lock()
	f()
	close(r.changed)
	r.changed = make(chan struct{})
	r.mu.Unlock()
}

// begin starts a case: what arrives from now on belongs to it.
func (r *recorder) begin(c *wireCase) {
	r.update(func() { r.current, r.seen = c, nil })
}

// settle waits until no connection is in the middle of a request, and returns what came.
func (r *recorder) settle(within time.Duration) []arrival {
	r.await(within, func() bool { return !r.half() })
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]arrival(nil), r.seen...)
}

// half reports whether a connection is in the middle of a request. Call with mu held.
func (r *recorder) half() bool {
	for _, c := range r.conns {
		if c.pending > 0 {
			return true
		}
	}
	return false
}

// await waits for a condition, which is asked under the lock.
func (r *recorder) await(within time.Duration, holds func() bool) bool {
	limit := time.NewTimer(within)
	defer limit.Stop()
	for {
		r.mu.Lock()
		ok, changed := holds(), r.changed
		r.mu.Unlock()
		if ok {
			return true
		}
		select {
		case <-changed:
		case <-limit.C:
			return false
		}
	}
}

func (r *recorder) serve(c *recorded) {
	defer func() {
		_ = c.Close()
		r.update(func() { delete(r.conns, c.id) })
	}()
	var got []byte
	buf := make([]byte, 64<<10)
	for {
		n, err := c.Read(buf)
		got = append(got, buf[:n]...)
		for len(got) > 0 {
			used, ok := r.take(c, got)
			if !ok {
				return
			}
			if used == 0 {
				break
			}
			got = got[used:]
		}
		if err != nil {
			if len(got) > 0 {
				r.note(c, arrival{conn: c.id, raw: string(got), err: errMore})
			}
			return
		}
		r.update(func() { c.pending = len(got) })
	}
}

func (r *recorder) note(c *recorded, a arrival) {
	r.update(func() { r.seen = append(r.seen, a); c.pending = 0 })
}

// take reads one request from the front of got and answers it; false ends the connection.
func (r *recorder) take(c *recorded, got []byte) (used int, ok bool) {
	r.mu.Lock()
	current := r.current
	r.mu.Unlock()
	m, n, err := strictRequest(got)
	early := current.has("early") && m != nil && !isProbe(m)
	switch {
	case errors.Is(err, errMore) && early:
		r.note(c, arrival{conn: c.id, raw: string(got), err: errMore})
		r.script(c, current.reply)
		if current.has("fin") {
			_ = c.Conn.(*net.TCPConn).CloseWrite()
		}
		_, _ = io.Copy(io.Discard, c) // until the proxy gives up
		return 0, false
	case errors.Is(err, errMore):
		return 0, true
	case err != nil:
		r.note(c, arrival{conn: c.id, raw: string(got), err: err})
		_, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"))
		return 0, false
	}
	r.note(c, arrival{conn: c.id, msg: m})
	if isProbe(m) {
		id := path.Base(m.start[1])
		_, err := c.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: " + strconv.Itoa(len(id)) + "\r\n\r\n" + id))
		return n, err == nil
	}
	return n, r.answer(c, current, got[n:])
}

// answer plays the script of a case; false: the connection is over.
func (r *recorder) answer(c *recorded, current *wireCase, behind []byte) bool {
	r.script(c, current.reply)
	switch {
	case current.has("rst"):
		_ = c.Conn.(*net.TCPConn).SetLinger(0)
		return false
	case current.has("fin"):
		_ = c.Conn.(*net.TCPConn).CloseWrite()
		_, _ = c.Read(make([]byte, 1<<10)) // until the proxy has read it
		return false
	case current.has("tunnel"):
		r.echo(c, behind)
		return false
	}
	return true
}

// script sends a reply up to {then}; what follows waits for sendLate.
func (r *recorder) script(c *recorded, reply string) {
	now, late, _ := strings.Cut(reply, "{then}")
	r.update(func() { c.late = late })
	for size := 1; r.pieces.Load() && len(now) > size; size = 1 + size*3%7 + len(now)/20 {
		if _, err := io.WriteString(c, now[:size]); err != nil {
			return
		}
		now = now[size:]
	}
	_, _ = io.WriteString(c, now)
}

func (r *recorder) echo(c *recorded, behind []byte) {
	_, _ = c.Write(behind)
	buf := make([]byte, 4<<10)
	for {
		n, err := c.Read(buf)
		_, _ = c.Write(bytes.ToUpper(buf[:n]))
		if err != nil {
			return
		}
	}
}

// sendLate sends what was kept back, and waits until the proxy has closed that
// connection: what nobody asked for makes it unfit for use.
func (r *recorder) sendLate(within time.Duration) {
	var waiting []*recorded
	r.mu.Lock()
	for _, c := range r.conns {
		if c.late != "" {
			waiting = append(waiting, c)
			_, _ = c.Write([]byte(c.late))
			c.late = ""
		}
	}
	r.mu.Unlock()
	for _, c := range waiting {
		r.await(within, func() bool { return r.conns[c.id] == nil })
	}
}

// deserted waits until every connection of the case is gone.
func (r *recorder) deserted(within time.Duration) {
	r.await(within, func() bool {
		for _, a := range r.seen {
			if r.conns[a.conn] != nil {
				return false
			}
		}
		return true
	})
}

func isProbe(m *message) bool {
	return strings.HasPrefix(m.start[1], "/probe-") || strings.HasPrefix(m.start[1], "/public/probe-")
}
