package tlslayer_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/proxy/engine"
	"github.com/sluiceproxy/sluice/proxy/engine/tlslayer"
)

// Whatever the version and the sizes, what comes back is what was sent, and both halves end
// with a goodbye.
func TestEcho(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			onEach(t, func(t *testing.T, r *rig) {
				cfg := r.client()
				cfg.MaxVersion = version
				c := r.dialTLS(cfg)
				body := make([]byte, 1<<20)
				for i := range body {
					body[i] = byte(rand.Uint32())
				}
				go func() {
					for b := body; len(b) > 0; {
						n := min(len(b), 1+rand.IntN(40000))
						if _, err := c.Write(b[:n]); err != nil {
							t.Errorf("write: %v", err)
							return
						}
						b = b[n:]
					}
					if err := c.CloseWrite(); err != nil {
						t.Errorf("close_notify: %v", err)
					}
				}()
				got, err := io.ReadAll(c) // an end without close_notify is an error
				if err != nil || !bytes.Equal(got, body) {
					t.Errorf("%d bytes came back of %d, %v", len(got), len(body), err)
				}
				if s := await[secured](r); s.Err != nil || s.State.Version != version {
					t.Errorf("secured: %+v", s)
				}
				c.Close()
				if end := await[closed](r); end.Err != nil || end.Unsent != 0 {
					t.Errorf("ended with %+v", end)
				}
			})
		})
	}
}

// A client may send its handshake byte by byte, with its first request right behind it.
func TestSlowHello(t *testing.T) {
	onEach(t, func(t *testing.T, r *rig) {
		c := tls.Client(&dribble{r.dial()}, r.client())
		if _, err := c.Write([]byte("ping")); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 4)
		if _, err := io.ReadFull(c, b); err != nil || string(b) != "ping" {
			t.Errorf("%q, %v", b, err)
		}
	})
}

type dribble struct{ net.Conn }

func (d *dribble) Write(b []byte) (int, error) {
	for i := range b {
		if _, err := d.Conn.Write(b[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(b), nil
}

// Who does not speak TLS is told so in the clear.
func TestPlaintext(t *testing.T) {
	onEach(t, func(t *testing.T, r *rig) {
		r.call(func() {
			r.secured = func(id engine.ConnID, s engine.Secured) {
				if errors.Is(s.Err, engine.ErrNotTLS) {
					r.sh.Send(id, []byte("in the clear"))
				}
				r.sh.Close(id, time.Second)
			}
		})
		c := r.dial()
		if _, err := c.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(c)
		if err != nil || string(b) != "in the clear" {
			t.Errorf("%q, %v", b, err)
		}
	})
}

// What a handshake fails of is told to both: by an alert, and by Secured.
func TestHandshakeFails(t *testing.T) {
	onEach(t, func(t *testing.T, r *rig) {
		cfg := r.client()
		cfg.CipherSuites, cfg.MaxVersion = []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA}, tls.VersionTLS12 // no RSA key here
		err := tls.Client(r.dial(), cfg).Handshake()
		var alert *net.OpError
		if !errors.As(err, &alert) || alert.Op != "remote error" {
			t.Errorf("the client saw %v, not an alert", err)
		}
		if s := await[secured](r); s.Err == nil {
			t.Error("no error")
		}
		await[closed](r)
	})
}

// A peer that leaves in any stage of its handshake leaves nothing behind.
func TestClientLeaves(t *testing.T) {
	hello := clientHello(t)
	onEach(t, func(t *testing.T, r *rig) {
		for _, n := range []int{0, 1, 5, len(hello) / 2, len(hello)} {
			r.mu.Lock()
			r.notes = nil
			r.mu.Unlock()
			c := r.dial()
			if _, err := c.Write(hello[:n]); err != nil {
				t.Fatal(err)
			}
			_ = c.(*net.TCPConn).CloseWrite()
			if s := await[secured](r); s.Err == nil {
				t.Errorf("after %d bytes: no error", n)
			}
			await[closed](r)
			c.Close()
		}
	})
}

// clientHello is the first flight of a client.
func clientHello(t *testing.T) []byte {
	t.Helper()
	a, b := net.Pipe()
	defer a.Close()
	go func() {
		_ = tls.Client(b, &tls.Config{ServerName: "a.test"}).Handshake() // ends with the pipe
	}()
	defer b.Close()
	buf := make([]byte, 1<<16)
	n, err := a.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return buf[:n]
}

// Pause holds the plaintext back that is in memory already, and Resume brings it.
func TestPause(t *testing.T) {
	onEach(t, func(t *testing.T, r *rig) {
		var conn engine.ConnID
		received := 0
		r.call(func() {
			r.received = func(id engine.ConnID, b []byte) {
				conn = id
				received += len(b)
				r.sh.Pause(id)
			}
		})
		c := r.dialTLS(r.client())
		var sent bytes.Buffer
		for range 64 { // records of their own, and more than one read
			b := bytes.Repeat([]byte("x"), 1000)
			sent.Write(b)
			if _, err := c.Write(b); err != nil {
				t.Fatal(err)
			}
		}
		_ = c.CloseWrite()
		await[got](r)
		for resumes := 0; ; resumes++ {
			var n int
			r.call(func() { n = received })
			if n == sent.Len() {
				break
			}
			if n > 1000*(1+resumes) {
				t.Fatalf("%d bytes came after %d times Resume, a record of 1,000 each", n, resumes)
			}
			r.call(func() { r.sh.Resume(conn) })
		}
		r.call(func() { r.sh.Resume(conn) })
		await[ended](r)
	})
}

// Computing is bounded; but whoever waits for its peer in the middle of its handshake, or has
// sent half a ClientHello, holds nobody up.
func TestStalledHandshakesHoldNobodyUp(t *testing.T) {
	hello := clientHello(t)
	for name, f := range drivers() {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, f, tlslayer.Config{Working: 1})
			for range 16 {
				half := r.dial()
				if _, err := half.Write(hello[:len(hello)-1]); err != nil {
					t.Fatal(err)
				}
				stalled := r.dial()
				if _, err := stalled.Write(hello); err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadFull(stalled, make([]byte, 5)); err != nil { // ServerHello: from here on it waits
					t.Fatal(err)
				}
			}
			r.dialTLS(r.client())
		})
	}
}

// The answer to our goodbye is no request that we lost; a request is.
func TestDiscarded(t *testing.T) {
	for _, request := range []string{"", "GET /lost HTTP/1.1\r\nHost: a.test\r\n\r\n"} {
		onEach(t, func(t *testing.T, r *rig) {
			r.call(func() {
				r.secured = func(id engine.ConnID, s engine.Secured) { r.sh.Close(id, patience) }
			})
			c := r.dialTLS(r.client())
			if _, err := io.ReadAll(c); err != nil {
				t.Fatalf("no goodbye: %v", err)
			}
			if request != "" {
				_, _ = c.Write([]byte(request))
			}
			c.Close()
			if end := await[closed](r); end.Err != nil || (end.Discarded > 0) != (request != "") {
				t.Errorf("%q: %+v", request, end)
			}
		})
	}
}

// As a client: a response that ends without a goodbye is broken, one with it is not; Move is
// for plain connections.
func TestClientEnd(t *testing.T) {
	for _, goodbye := range []bool{true, false} {
		onEach(t, func(t *testing.T, r *rig) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			go func() {
				raw, err := ln.Accept()
				if err != nil {
					return
				}
				defer raw.Close()
				c := tls.Server(raw, &tls.Config{Certificates: []tls.Certificate{r.cert}})
				_, _ = io.ReadFull(c, make([]byte, 4))
				_, _ = c.Write([]byte("answer"))
				if goodbye {
					_ = c.CloseWrite()
				}
				_ = raw.(*net.TCPConn).CloseWrite()
				_, _ = io.Copy(io.Discard, raw)
			}()
			moved := true
			r.call(func() {
				r.dialed = func(id engine.ConnID, err error) {
					if err != nil {
						t.Errorf("dial: %v", err)
					}
					r.sh.StartTLS(id, r.client(), true, nil)
					moved = r.sh.Move(id, id, 1)
				}
			})
			r.call(func() {
				r.received = func(engine.ConnID, []byte) {}
			})
			r.call(func() {
				r.secured = func(id engine.ConnID, s engine.Secured) {
					if s.Err != nil {
						t.Errorf("handshake: %v", s.Err)
					}
					r.sh.Send(id, []byte("ping"))
				}
			})
			r.call(func() { r.sh.Dial(ln.Addr().String(), patience) })
			end := await[closed](r)
			if got := string(await[got](r)); got != "answer" || moved {
				t.Errorf("%q, moved %v", got, moved)
			}
			if (end.Err == nil) != goodbye {
				t.Errorf("goodbye %v: ended with %v", goodbye, end.Err)
			}
		})
	}
}

// Bytes that are no record, behind the handshake: the connection is broken, the peer is told
// by an alert, the handler by Closed.
func TestBrokenRecord(t *testing.T) {
	onEach(t, func(t *testing.T, r *rig) {
		raw := r.dial()
		c := tls.Client(raw, r.client())
		if err := c.HandshakeContext(context.Background()); err != nil {
			t.Fatal(err)
		}
		await[secured](r)
		if _, err := raw.Write(append([]byte{23, 3, 3, 0, 32}, make([]byte, 32)...)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(c); err == nil {
			t.Error("no alert")
		}
		raw.Close()
		if end := await[closed](r); end.Err == nil {
			t.Error("closed in good order")
		}
	})
}

// A driver that closes ends handshakes under way.
func TestCloseWithin(t *testing.T) {
	hello := clientHello(t)
	onEach(t, func(t *testing.T, r *rig) {
		for range 8 {
			c := r.dial()
			if _, err := c.Write(hello); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
		}
		r.d.Close()
	})
}
