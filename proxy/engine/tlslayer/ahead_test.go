package tlslayer_test

import (
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/proxy/engine"
)

// batch is a connection that keeps what is written until it is flushed: what comes in one read.
type batch struct {
	net.Conn
	held []byte
	hold bool
}

func (b *batch) Write(p []byte) (int, error) {
	if !b.hold {
		return b.Conn.Write(p)
	}
	b.held = append(b.held, p...)
	return len(p), nil
}

// SetWriteDeadline is for naught: CloseWrite would have nothing leave any more.
func (b *batch) SetWriteDeadline(time.Time) error { return nil }

func (b *batch) flush() {
	b.hold = false
	_, _ = b.Conn.Write(b.held)
}

// What stands in records behind the one that was handed over is known, though the kernel has
// nothing any more; and it is handed over all the same.
func TestUnreadBehindARecord(t *testing.T) {
	for _, tt := range []struct {
		name    string
		send    func(c *tls.Conn)
		answers string
		unread  []bool // when asked with each of the answers
	}{
		{"one record", func(c *tls.Conn) { _, _ = c.Write([]byte("answer")) }, "answer", []bool{false}},
		{"two records", func(c *tls.Conn) { _, _ = c.Write([]byte("answer")); _, _ = c.Write([]byte("extra")) }, "answer extra", []bool{true, false}},
		{"a goodbye", func(c *tls.Conn) { _, _ = c.Write([]byte("answer")); _ = c.CloseWrite() }, "answer", []bool{true}},
		{"two records and a goodbye", func(c *tls.Conn) {
			_, _ = c.Write([]byte("answer"))
			_, _ = c.Write([]byte("extra"))
			_ = c.CloseWrite()
		}, "answer extra", []bool{true, true}},
	} {
		for _, pause := range []bool{false, true} {
			onEach(t, func(t *testing.T, r *rig) {
				ln, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				defer ln.Close()
				go func() { // ends with the connection
					raw, err := ln.Accept()
					if err != nil {
						return
					}
					defer raw.Close()
					b := &batch{Conn: raw}
					c := tls.Server(b, &tls.Config{Certificates: []tls.Certificate{r.cert}})
					if _, err := io.ReadFull(c, make([]byte, 4)); err != nil {
						return
					}
					b.hold = true
					tt.send(c)
					b.flush()
					_, _ = io.ReadFull(c, make([]byte, 4)) // all has been seen
				}()
				var answers []string
				var unread []bool
				seen := make(chan struct{})
				r.call(func() {
					r.dialed = func(id engine.ConnID, _ error) { r.sh.StartTLS(id, r.client(), true, nil) }
					r.secured = func(id engine.ConnID, s engine.Secured) {
						if s.Err != nil {
							t.Errorf("handshake: %v", s.Err)
						}
						r.sh.Send(id, []byte("ping"))
					}
					r.eof = func(engine.ConnID) {}
					r.received = func(id engine.ConnID, b []byte) {
						answers = append(answers, string(b))
						unread = append(unread, r.sh.Unread(id))
						if again := r.sh.Unread(id); again != unread[len(unread)-1] {
							t.Errorf("asked again: %v", again)
						}
						if pause {
							r.sh.Pause(id)
							r.d.Post(0, func() { r.sh.Resume(id) })
						}
						if len(answers) == len(tt.unread) {
							r.sh.Send(id, []byte("done"))
							close(seen)
						}
					}
				})
				r.call(func() { r.sh.Dial(ln.Addr().String(), patience) })
				<-seen
				r.call(func() {
					if got := strings.Join(answers, " "); got != tt.answers {
						t.Errorf("%s: %q came, want %q", tt.name, got, tt.answers)
					}
					for i := range unread {
						if unread[i] != tt.unread[i] {
							t.Errorf("%s: unread %v, want %v", tt.name, unread, tt.unread)
							break
						}
					}
				})
			})
		}
	}
}

// Asked between two reads, it opens what nobody waits for; that comes all the same.
func TestUnreadWhilePaused(t *testing.T) {
	onEach(t, func(t *testing.T, r *rig) {
		r.call(func() { r.received = func(id engine.ConnID, b []byte) { r.sh.Pause(id); r.sh.Send(id, b) } })
		b := &batch{Conn: r.dial()}
		c := tls.Client(b, r.client())
		if err := c.Handshake(); err != nil {
			t.Fatal(err)
		}
		b.hold = true
		_, _ = c.Write([]byte("ping"))
		_, _ = c.Write([]byte("pong"))
		b.flush()
		buf := make([]byte, 4)
		if _, err := io.ReadFull(c, buf); err != nil {
			t.Fatal(err)
		}
		r.call(func() {
			id := engine.MakeConnID(0, 1, 0)
			if !r.sh.Unread(id) {
				t.Error("nothing waits, although it is paused before the second")
			}
			r.sh.Resume(id)
		})
		if _, err := io.ReadFull(c, buf); err != nil || string(buf) != "pong" {
			t.Errorf("%q, %v", buf, err)
		}
	})
}
