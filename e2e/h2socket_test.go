package e2e

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// WebSockets over HTTP/2 (RFC 8441), written frame by frame: both ends of a connection, and streams of it that read and write like
// connections.

// h2Link is one HTTP/2 connection that carries WebSockets.
type h2Link struct {
	c       net.Conn
	fr      *http2.Framer
	serve   func(s *h2Socket, path string) // of a server: runs with each stream
	running *sync.WaitGroup

	mu      sync.Mutex // guards what follows, and writing
	changed *sync.Cond // of mu: windows, answers, ends
	window  int64      // of the connection, that the peer gives
	first   int64      // of a stream, that the peer gives
	streams map[uint32]*h2Socket
	next    uint32
	goaways int
	err     error // the connection is over
	offers  bool  // the peer has announced extended CONNECT
	heard   bool  // its SETTINGS came
}

// h2Socket is one stream of it, as a net.Conn.
type h2Socket struct {
	net.Conn // of the link: for what is not asked here
	link     *h2Link
	id       uint32
	status   string // of the answer
	in       bytes.Buffer
	window   int64
	ended    bool  // the peer's END_STREAM came
	closed   bool  // ours was sent
	err      error // it was reset
}

func newH2Link(c net.Conn, running *sync.WaitGroup, serve func(*h2Socket, string)) *h2Link {
	l := &h2Link{c: c, fr: http2.NewFramer(c, c), serve: serve, running: running, window: 65535, first: 65535, streams: map[uint32]*h2Socket{}, next: 1}
	l.changed = sync.NewCond(&l.mu)
	l.fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	_ = c.SetDeadline(time.Now().Add(2 * patience))
	return l
}

// dialH2Link connects as a client, and waits until the server has said that it takes WebSockets.
func dialH2Link(t *testing.T, addr string, running *sync.WaitGroup) *h2Link {
	t.Helper()
	c, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	l := newH2Link(c, running, nil)
	if _, err = io.WriteString(c, http2.ClientPreface); err == nil {
		err = l.begin()
	}
	if err != nil {
		t.Fatal(err)
	}
	running.Go(l.read) // ends with its connection, within its deadline
	l.mu.Lock()
	defer l.mu.Unlock()
	for !l.heard && l.err == nil {
		l.changed.Wait()
	}
	if !l.offers {
		t.Fatalf("the server has not announced extended CONNECT (%v)", l.err)
	}
	return l
}

// linkWindow is what it gives, so that large frames do not wait for each other.
const linkWindow = 1 << 20

// begin sends its SETTINGS and windows.
func (l *h2Link) begin(settings ...http2.Setting) error {
	err := l.fr.WriteSettings(append(settings, http2.Setting{ID: http2.SettingInitialWindowSize, Val: linkWindow})...)
	if err == nil {
		err = l.fr.WriteWindowUpdate(0, 8*linkWindow)
	}
	return err
}

// reader reads from it, in pieces that are worth a window update.
func (s *h2Socket) reader() *bufio.Reader { return bufio.NewReaderSize(s, 64<<10) }

// ask opens a WebSocket, and waits for the answer.
func (l *h2Link) ask(path string) (*h2Socket, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.open(l.next)
	l.next += 2
	err := l.head(s.id, [][2]string{{":method", "CONNECT"}, {":protocol", "websocket"}, {":scheme", "http"}, {":path", path},
		{":authority", "app.example.com"}, {"sec-websocket-version", "13"}})
	for err == nil && s.status == "" && s.err == nil {
		l.changed.Wait()
	}
	if s.status != "200" {
		return nil, fmt.Errorf("status %q, %w", s.status, errors.Join(err, s.err))
	}
	return s, nil
}

// open makes a stream. Call with mu held.
func (l *h2Link) open(id uint32) *h2Socket {
	s := &h2Socket{Conn: l.c, link: l, id: id, window: l.first}
	l.streams[id] = s
	return s
}

// head sends a head. Call with mu held.
func (l *h2Link) head(id uint32, fields [][2]string) error {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	e.SetMaxDynamicTableSize(0)
	for _, p := range fields {
		if err := e.WriteField(hpack.HeaderField{Name: p[0], Value: p[1]}); err != nil {
			return err
		}
	}
	return l.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: b.Bytes(), EndHeaders: true})
}

// read takes what comes, until the end.
func (l *h2Link) read() {
	for {
		f, err := l.fr.ReadFrame()
		l.mu.Lock()
		if err == nil {
			err = l.take(f)
		}
		if err != nil {
			l.err = err
			for _, s := range l.streams {
				if s.err == nil && !s.ended {
					s.err = fmt.Errorf("the connection ended under the stream: %w", err)
				}
			}
		}
		l.changed.Broadcast()
		l.mu.Unlock()
		if err != nil {
			_ = l.c.Close()
			return
		}
	}
}

// take is one frame. Call with mu held.
func (l *h2Link) take(f http2.Frame) error {
	s := l.streams[f.Header().StreamID]
	switch f := f.(type) {
	case *http2.SettingsFrame:
		if f.IsAck() {
			return nil
		}
		l.heard = true
		if v, ok := f.Value(http2.SettingInitialWindowSize); ok {
			for _, s := range l.streams {
				s.window += int64(v) - l.first
			}
			l.first = int64(v)
		}
		v, _ := f.Value(http2.SettingEnableConnectProtocol)
		l.offers = l.offers || v == 1
		return l.fr.WriteSettingsAck()
	case *http2.PingFrame:
		if !f.IsAck() {
			return l.fr.WritePing(true, f.Data)
		}
	case *http2.WindowUpdateFrame:
		if s != nil {
			s.window += int64(f.Increment)
		} else if f.StreamID == 0 {
			l.window += int64(f.Increment)
		}
	case *http2.GoAwayFrame:
		l.goaways++
		if f.ErrCode != http2.ErrCodeNo {
			return fmt.Errorf("GOAWAY %v", f.ErrCode)
		}
	case *http2.MetaHeadersFrame:
		return l.takeHead(f, s)
	case *http2.DataFrame:
		if s == nil {
			return fmt.Errorf("DATA on stream %d", f.StreamID)
		}
		s.in.Write(f.Data())
		s.ended = f.StreamEnded()
	case *http2.RSTStreamFrame:
		if s != nil && !(s.ended && f.ErrCode == http2.ErrCodeNo) {
			s.err = fmt.Errorf("reset: %v", f.ErrCode)
		}
	}
	return nil
}

func (l *h2Link) takeHead(f *http2.MetaHeadersFrame, s *h2Socket) error {
	if l.serve == nil {
		if s != nil {
			s.status, s.ended = f.PseudoValue("status"), f.StreamEnded()
		}
		return nil
	}
	if f.PseudoValue("protocol") != "websocket" || f.PseudoValue("method") != "CONNECT" {
		return fmt.Errorf("no WebSocket: %v", f.Fields)
	}
	for _, h := range f.RegularFields() {
		if strings.EqualFold(h.Name, "sec-websocket-key") || h.Name == "upgrade" || h.Name == "connection" {
			return fmt.Errorf("a field of HTTP/1.1: %v", h)
		}
	}
	s = l.open(f.StreamID)
	l.running.Go(func() { l.serve(s, f.PseudoValue("path")) }) // ends with its stream, within the deadline of its connection
	return l.head(s.id, [][2]string{{":status", "200"}})
}

// Read implements net.Conn, and gives the windows back.
func (s *h2Socket) Read(b []byte) (int, error) {
	l := s.link
	l.mu.Lock()
	defer l.mu.Unlock()
	for s.in.Len() == 0 {
		switch {
		case s.err != nil:
			return 0, s.err
		case s.ended:
			return 0, io.EOF
		}
		l.changed.Wait()
	}
	n, _ := s.in.Read(b)
	if err := l.fr.WriteWindowUpdate(0, uint32(n)); err != nil {
		return n, err
	}
	if s.ended || s.err != nil {
		return n, nil
	}
	return n, l.fr.WriteWindowUpdate(s.id, uint32(n))
}

// Write implements net.Conn, as far as the windows let it.
func (s *h2Socket) Write(b []byte) (n int, err error) {
	l := s.link
	l.mu.Lock()
	defer l.mu.Unlock()
	for n < len(b) {
		for s.err == nil && l.err == nil && min(s.window, l.window) <= 0 {
			l.changed.Wait()
		}
		if err := errors.Join(s.err, l.err); err != nil {
			return n, err
		}
		k := int(min(int64(len(b)-n), s.window, l.window, 16384))
		s.window -= int64(k)
		l.window -= int64(k)
		if err := l.fr.WriteData(s.id, false, b[n:n+k]); err != nil {
			return n, err
		}
		n += k
	}
	return n, nil
}

// CloseWrite sends END_STREAM.
func (s *h2Socket) CloseWrite() error {
	s.link.mu.Lock()
	defer s.link.mu.Unlock()
	if s.closed || s.err != nil {
		return nil
	}
	s.closed = true
	return s.link.fr.WriteData(s.id, true, nil)
}

// Close ends the stream, and not the connection.
func (s *h2Socket) Close() error { return s.CloseWrite() }

func (s *h2Socket) SetDeadline(time.Time) error { return nil } // its connection has one
