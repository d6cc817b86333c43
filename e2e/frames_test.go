package e2e

import (
	"bufio"
	"cmp"
	"crypto/sha1" // RFC 6455 section 4.2.2
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// WebSockets written by hand (RFC 6455 section 5.2), without the leniency of a library.

// socketEnd is one end of a WebSocket: it sends numbered messages in two pieces each, one after the
// other, and answers a Close.
type socketEnd struct {
	c      net.Conn
	in     *bufio.Reader
	client bool
	mute   bool // it answers no Close
	most   int  // bytes of a message
	pace   time.Duration
	quit   <-chan struct{} // when closed, this end says 1000; nil: it never does
	each   func()          // is called for each message that came; nil: nothing is
	over   chan struct{}   // closed by talk at its end; nil: nobody waits

	writing sync.Mutex // guards what is written, and said
	said    bool

	// What came of it, once it is over.
	sent, read uint32
	code       int
	reason     string
	err        error // nil: a Close, and FIN behind it
}

// frame writes one, in two pieces, unless a Close was sent.
func (e *socketEnd) frame(first byte, payload []byte) error {
	e.writing.Lock()
	defer e.writing.Unlock()
	if e.said {
		return io.ErrClosedPipe
	}
	e.said = first == 0x88
	b := []byte{first, byte(len(payload))}
	switch n := len(payload); {
	case n > 0xffff:
		b = binary.BigEndian.AppendUint64([]byte{first, 127}, uint64(n))
	case n > 125:
		b = binary.BigEndian.AppendUint16([]byte{first, 126}, uint16(n))
	}
	if e.client {
		b[1] |= 0x80
		key := binary.BigEndian.AppendUint32(nil, rand.Uint32())
		b = append(b, key...)
		for i, c := range payload {
			b = append(b, c^key[i%4])
		}
	} else {
		b = append(b, payload...)
	}
	k := rand.IntN(len(b))
	if _, err := e.c.Write(b[:k]); err != nil {
		return err
	}
	_, err := e.c.Write(b[k:])
	return err
}

// next reads one frame; io.ErrUnexpectedEOF: the end came within it.
func (e *socketEnd) next() (first byte, payload []byte, err error) {
	if first, err = e.in.ReadByte(); err != nil {
		return 0, nil, err
	}
	rest := make([]byte, 1)
	whole := func(n int) bool {
		rest = make([]byte, n)
		if _, err = io.ReadFull(e.in, rest); errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return err == nil
	}
	if !whole(1) {
		return 0, nil, err
	}
	n, masked := int(rest[0]&0x7f), rest[0] >= 0x80
	if masked == e.client || first&0x70 != 0 {
		return 0, nil, fmt.Errorf("no frame: %x, length %d, masked %v", first, n, masked)
	}
	switch n {
	case 126:
		if !whole(2) {
			return 0, nil, err
		}
		n = int(binary.BigEndian.Uint16(rest))
	case 127:
		if !whole(8) {
			return 0, nil, err
		}
		if n = int(binary.BigEndian.Uint64(rest)); n > 1<<20 {
			return 0, nil, fmt.Errorf("a frame of %d bytes", n)
		}
	}
	var key []byte
	if masked {
		if !whole(4) {
			return 0, nil, err
		}
		key = rest
	}
	if !whole(n) {
		return 0, nil, err
	}
	for i := range key {
		for j := i; j < n; j += 4 {
			rest[j] ^= key[i]
		}
	}
	return first, rest, nil
}

// talk goes on until the end; it sends a message at every pace, 3 ms if there is none.
func (e *socketEnd) talk() {
	var writer sync.WaitGroup
	stop := make(chan struct{})
	writer.Go(func() { // ends with stop, or when it may not write any more
		tick := time.NewTicker(cmp.Or(e.pace, 3*time.Millisecond))
		defer tick.Stop()
		for {
			payload := make([]byte, 4+rand.IntN(e.most))
			binary.BigEndian.PutUint32(payload, e.sent)
			if e.frame(0x82, payload) != nil {
				return
			}
			e.sent++
			select {
			case <-tick.C:
			case <-stop:
				return
			case <-e.quit:
				_ = e.frame(0x88, binary.BigEndian.AppendUint16(nil, 1000))
				return
			}
		}
	})
	e.err = e.listen()
	close(stop)
	writer.Wait()
	_ = e.c.Close()
	if e.over != nil {
		close(e.over)
	}
}

// listen reads to the end.
func (e *socketEnd) listen() error {
	for {
		_ = e.c.SetDeadline(time.Now().Add(2 * patience)) // of each message: a socket may live for long
		first, payload, err := e.next()
		switch {
		case errors.Is(err, io.EOF):
			return errors.New("an end without a Close")
		case err != nil:
			return err
		case first == 0x88 && len(payload) >= 2:
			e.code, e.reason = int(binary.BigEndian.Uint16(payload)), string(payload[2:])
			return e.answer()
		case first != 0x82 || len(payload) < 4:
			return fmt.Errorf("frame %x of %d bytes", first, len(payload))
		}
		if n := binary.BigEndian.Uint32(payload); n != e.read {
			return fmt.Errorf("message %d, want %d", n, e.read)
		}
		e.read++
		if e.each != nil {
			e.each()
		}
	}
}

// answer says the Close that was heard, unless this end has said its own, and waits for FIN; nothing may come before
// it. A server closes first.
func (e *socketEnd) answer() error {
	if !e.mute {
		err := e.frame(0x88, binary.BigEndian.AppendUint16(nil, uint16(e.code)))
		if err != nil && !errors.Is(err, io.ErrClosedPipe) {
			return fmt.Errorf("answer a Close: %w", err)
		}
		if c, ok := e.c.(interface{ CloseWrite() error }); ok && !e.client {
			_ = c.CloseWrite()
		}
	}
	if n, err := io.Copy(io.Discard, e.in); n > 0 || err != nil {
		return fmt.Errorf("%d bytes behind a Close, %w", n, err)
	}
	return nil
}

// largest is how large the messages are on a path.
func largest(path string) int {
	if strings.HasPrefix(path, "/large") {
		return 400_000 // the payload of such frames is spliced
	}
	return 2000
}

// sockets is a WebSocket upstream, and pairs of ends through a proxy.
type sockets struct {
	addr string
	ln   net.Listener
	h2   bool          // it speaks HTTP/2
	pace time.Duration // of its own ends
	want int           // the code that talkers want to hear

	mu      sync.Mutex // guards servers and closes
	servers map[string]*socketEnd
	closes  map[int]int // how often talkers ended well, by code
	running sync.WaitGroup
}

func newSockets(t *testing.T) *sockets { return socketsOf(t, false) }

func socketsOf(t *testing.T, h2 bool) *sockets {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u := &sockets{addr: ln.Addr().String(), ln: ln, h2: h2, servers: map[string]*socketEnd{}, closes: map[int]int{}}
	u.running.Go(u.accept) // ends with Close
	t.Cleanup(func() {
		_ = ln.Close()
		u.running.Wait()
	})
	return u
}

func (u *sockets) accept() {
	for {
		c, err := u.ln.Accept()
		if err != nil {
			return
		}
		serve := u.serve
		if u.h2 {
			serve = u.serveH2
		}
		u.running.Go(func() { serve(c) }) // ends with the connection, within its deadline
	}
}

// serve switches, and talks.
func (u *sockets) serve(c net.Conn) {
	_ = c.SetDeadline(time.Now().Add(patience))
	e := &socketEnd{c: c, in: bufio.NewReader(c)}
	r, err := http.ReadRequest(e.in)
	if err != nil {
		_ = c.Close()
		return
	}
	if _, err := io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+accept(r.Header)+"\r\n"); err != nil {
		_ = c.Close()
		return
	}
	u.talk(e, r.URL.Path)
}

// serveH2 talks on each stream of a connection.
func (u *sockets) serveH2(c net.Conn) {
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(c, preface); err != nil || string(preface) != http2.ClientPreface {
		_ = c.Close()
		return
	}
	l := newH2Link(c, &u.running, func(s *h2Socket, path string) {
		u.talk(&socketEnd{c: s, in: s.reader()}, path)
	})
	if err := l.begin(http2.Setting{ID: http2.SettingEnableConnectProtocol, Val: 1}); err != nil {
		_ = c.Close()
		return
	}
	l.read()
}

// talk is a server's end, to the end. The path says whose it is, and whether it answers.
func (u *sockets) talk(e *socketEnd, path string) {
	e.most = largest(path)
	e.mute = strings.HasPrefix(path, "/mute")
	e.pace, e.over = u.pace, make(chan struct{})
	u.mu.Lock()
	u.servers[path] = e
	u.mu.Unlock()
	e.talk()
}

// openH2 is open on one connection of HTTP/2.
func (u *sockets) openH2(t *testing.T, addr, path string, n int) (clients []*socketEnd, wait func()) {
	t.Helper()
	var running sync.WaitGroup
	l := dialH2Link(t, addr, &running)
	for i := range n {
		s, err := l.ask(fmt.Sprintf("%s/%d", path, i))
		if err != nil {
			t.Fatalf("socket %d: %v", i, err)
		}
		e := &socketEnd{c: s, in: s.reader(), client: true, most: largest(path)}
		clients = append(clients, e)
		running.Go(e.talk) // ends with its stream, within the deadline of its connection
	}
	return clients, running.Wait
}

// accept is the field by which a server proves that it read the handshake (RFC 6455 section 4.2.2); none for a client that
// sent no key.
func accept(h http.Header) string {
	key := h.Get("Sec-WebSocket-Key")
	if key == "" {
		return ""
	}
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return "Sec-WebSocket-Accept: " + base64.StdEncoding.EncodeToString(sum[:]) + "\r\n"
}

// open makes n WebSockets through a proxy, which talk until they end; wait returns when all have.
func (u *sockets) open(t *testing.T, addr, path string, n int) (clients []*socketEnd, wait func()) {
	t.Helper()
	var running sync.WaitGroup
	for i := range n {
		w, err := connect(addr, patience)
		if err != nil {
			t.Fatal(err)
		}
		_ = w.SetDeadline(time.Now().Add(2 * patience))
		a, err := w.ask(get(fmt.Sprintf("%s/%d", path, i), "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="))
		if err != nil || a.status != http.StatusSwitchingProtocols {
			t.Fatalf("socket %d: status %d, %v", i, a.status, err)
		}
		e := &socketEnd{c: w.Conn, in: w.in, client: true, most: largest(path)}
		clients = append(clients, e)
		running.Go(e.talk) // ends with its connection, within its deadline
	}
	return clients, running.Wait
}

// server is the other end of the i-th socket of a path, once it is over too.
func (u *sockets) server(path string, i int) *socketEnd {
	return u.end(fmt.Sprintf("%s/%d", path, i))
}

// end is the server's end of a whole path.
func (u *sockets) end(path string) *socketEnd {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.servers[path]
}

// policy lets everybody through to it.
func (u *sockets) policy(drain string) string {
	speaks := ""
	if u.h2 {
		speaks = ", protocol: http2"
	}
	return fmt.Sprintf("clusters: {app: {endpoints: [%q]%s}}\nroutes:\n- {name: ws, path: {prefix: /}, cluster: app, %s policy: [{allow: {and: [{accept: true}]}}]}\n", u.addr, speaks, drain)
}
