package e2e

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// endlessUpstream has what does not end by itself: events at /events, and a tunnel for whoever asks for one.
func endlessUpstream(t *testing.T) string {
	t.Helper()
	quit := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			c, rw, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(3 * patience))
			_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+r.Header.Get("Upgrade")+"\r\n"+accept(r.Header)+"\r\n")
			for frame := make([]byte, 7); r.Header.Get("Upgrade") == "websocket"; {
				if _, err := io.ReadFull(rw, frame); err != nil || frame[0] != 0x81 {
					return
				}
				_, _ = io.WriteString(c, "\x81\x01x")
			}
			_, _ = io.Copy(c, rw)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		for i := 0; ; i++ {
			if _, err := fmt.Fprintf(w, "data: %d\n\n", i); err != nil {
				return
			}
			_ = http.NewResponseController(w).Flush()
			select {
			case <-time.After(20 * time.Millisecond):
			case <-r.Context().Done():
				return
			case <-quit:
				return
			}
		}
	}))
	t.Cleanup(func() { close(quit); s.CloseClientConnections(); s.Close() })
	return s.Listener.Addr().String()
}

// openStream is something endless, as its client sees it.
type openStream struct {
	kind string
	c    *tls.Conn

	mu    sync.Mutex // guards what follows
	got   []byte     // the last of it
	bytes int
	ended time.Time
	err   error
}

// kinds of streams, by the field that asks for them.
var streamKinds = []string{"websocket", "raw", "events"}

// openAll opens one stream of each kind with the session of a person.
func openAll(t *testing.T, p *person) (all []*openStream) {
	t.Helper()
	home, err := url.Parse(loginHost)
	if err != nil {
		t.Fatal(err)
	}
	var cookies []string
	for _, c := range p.Jar.Cookies(home) {
		cookies = append(cookies, c.Name+"="+c.Value)
	}
	for _, kind := range streamKinds {
		cfg := trusting()
		cfg.ServerName = "app.example.com"
		c, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", p.at.web, cfg)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(3 * patience))
		more := "Connection: Upgrade\r\nUpgrade: " + kind + "\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
		if kind == "events" {
			more = ""
		}
		if _, err := io.WriteString(c, "GET /stream HTTP/1.1\r\nHost: app.example.com\r\nCookie: "+strings.Join(cookies, "; ")+"\r\n"+more+"\r\n"); err != nil {
			t.Fatal(err)
		}
		in := bufio.NewReader(c)
		for first := true; ; first = false {
			line, err := in.ReadString('\n')
			if err != nil || first && !strings.Contains(line, " 101 ") && !strings.Contains(line, " 200 ") {
				t.Fatalf("%s: %q, %v", kind, line, err)
			}
			if line == "\r\n" {
				break
			}
		}
		s := &openStream{kind: kind, c: c}
		t.Cleanup(func() { _ = c.Close() })
		go s.read(in) // ends with the connection, within its deadline
		all = append(all, s)
	}
	return all
}

func (s *openStream) read(in io.Reader) {
	b := make([]byte, 4096)
	for {
		n, err := in.Read(b)
		s.mu.Lock()
		s.bytes += n
		if s.got = append(s.got, b[:n]...); len(s.got) > 256 {
			s.got = append([]byte(nil), s.got[len(s.got)-256:]...)
		}
		if err != nil || s.kind == "events" && bytes.HasSuffix(s.got, []byte("\r\n0\r\n\r\n")) { // its connection stays
			s.ended, s.err = time.Now(), err
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
	}
}

func (s *openStream) end() (at time.Time, last []byte, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended, s.got, s.bytes
}

// lives reports whether a stream still carries something.
func (s *openStream) lives(t *testing.T) bool {
	t.Helper()
	_, _, before := s.end()
	if s.kind != "events" {
		if _, err := s.c.Write([]byte("\x81\x81\x00\x00\x00\x00x")); err != nil { // a frame of one byte, whose mask changes nothing
			return false
		}
	}
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if at, _, now := s.end(); !at.IsZero() || now > before {
			return at.IsZero()
		}
	}
	return false
}

// endSoon waits for the end of streams, each as its kind ends, and returns how long the slowest took.
func endSoon(t *testing.T, since time.Time, all []*openStream) (slowest time.Duration) {
	t.Helper()
	for _, s := range all {
		eventually(t, s.kind+" ends", func() bool { at, _, _ := s.end(); return !at.IsZero() })
		at, last, _ := s.end()
		slowest = max(slowest, at.Sub(since))
		switch {
		case s.kind == "websocket" && !bytes.Contains(last, []byte("\x03\xf0the session was revoked")): // 1008
			t.Errorf("the WebSocket ends with %q", last)
		case s.kind == "events" && !bytes.HasSuffix(last, []byte("\n\n\r\n0\r\n\r\n")):
			t.Errorf("the events end with %q", last)
		}
	}
	return slowest
}

// TestLogoutEndsOpenStreams: what a provider ends by back channel is over everywhere, in a generation that drains as well; the streams of others go on.
func TestLogoutEndsOpenStreams(t *testing.T) {
	t.Parallel()
	idp := newLoginProvider(t)
	up := &upstream{web: endlessUpstream(t)}
	h := serveHouse(t, up, loginSetup(t, up, idp.server.URL, t.TempDir()+"/state"))
	awaitProvider(t, h.sluice)
	logout := func(sid string) time.Time {
		token := idp.sign(t, "k1", map[string]any{"iss": idp.server.URL, "aud": "sluice", "iat": time.Now().Unix(), "jti": sid, "sid": sid,
			"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}})
		p := newPerson(t, h.sluice)
		now := time.Now()
		p.wants("a logout token", p.ask(loginHost+"/.sluice/backchannel-logout", url.Values{"logout_token": {token}}), 200, "logout_token")
		return now
	}
	var streams [2][]*openStream
	for i := range streams { // the provider calls the session of the first who comes s-0
		p := newPerson(t, h.sluice)
		if at := p.ask(loginHost+"/", nil); at.status != 302 {
			t.Fatalf("without a session: %d", at.status)
		} else if at = p.ask(at.head.Get("Location"), nil); at.status != 302 {
			t.Fatalf("at the provider: %d", at.status)
		} else if at = p.ask(at.head.Get("Location"), nil); at.status != 303 {
			t.Fatalf("the callback: %d %s", at.status, at.body)
		}
		streams[i] = openAll(t, p)
	}
	took := endSoon(t, logout("s-0"), streams[0])
	for _, s := range streams[1] {
		if !s.lives(t) {
			t.Errorf("%s of somebody else does not go on: %v", s.kind, s.err)
		}
	}
	if out, code := h.upgrade(t); code != 0 {
		t.Fatal(out)
	}
	for _, s := range streams[1] {
		if !s.lives(t) {
			t.Errorf("%s does not outlive the upgrade: %v", s.kind, s.err)
		}
	}
	took2 := endSoon(t, logout("s-1"), streams[1])
	t.Logf("the slowest stream ended %v after the logout, %v in a generation that drains", took, took2)
	if took > 5*time.Second || took2 > 5*time.Second { // a second, on a machine that may be busy
		t.Errorf("streams ended %v and %v after the logout", took, took2)
	}
	h.stop(t)
	for _, r := range h.receipts(t) {
		if r.CutTotal != 0 {
			t.Errorf("a receipt says that %d were cut: %+v", r.CutTotal, r.Cut)
		}
	}
}
