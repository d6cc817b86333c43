package proxy

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/internal/sim"
	"github.com/sluiceproxy/sluice/proxy/websocket"
)

// The goodbye of WebSockets, with both peers written by hand.

const switchesWS = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"

// wsFrame is a frame of an opcode; masked as a client's if asked for.
func wsFrame(op byte, payload string, masked bool) string {
	head := []byte{0x80 | op, byte(len(payload))}
	if len(payload) > 125 {
		head = binary.BigEndian.AppendUint16([]byte{0x80 | op, 126}, uint16(len(payload)))
	}
	if !masked {
		return string(head) + payload
	}
	head[1] |= 0x80
	return string(head) + "\x00\x00\x00\x00" + payload
}

// sides is a WebSocket through the proxy.
type sides struct {
	*walk
	client *client
	server *sim.Sock
	got    string // by the server, behind the head
	eof    bool   // the server saw one
	reset  bool
}

func openWS(t *testing.T, cfg Config, code websocket.Code) *sides {
	s := &sides{walk: newWalk(t, cfg)}
	s.open()
	s.core.gate.Load().routes[0].closeCode = code
	s.net.Listen("up:1").Accept(func(c *sim.Sock) {
		s.server = c
		switched := false
		c.SetEvents(sim.Events{
			Data: func(b []byte) {
				if s.got += string(b); !switched && strings.HasSuffix(s.got, "\r\n\r\n") {
					switched, s.got = true, ""
					c.Write([]byte(switchesWS))
				}
			},
			EOF:   func() { s.eof = true },
			Reset: func() { s.reset = true },
		})
	})
	s.client = s.dial("web")
	s.client.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n"))
	s.until("the 101", s.client.has("\r\n\r\n"))
	s.client.got = ""
	return s
}

// drainWS begins a drain of ten seconds; the WebSocket hears of it between 8 and 9.
func (s *sides) drainWS() { s.drain(10 * time.Second) }

// said reads a Close frame, of a client if masked.
func said(t *testing.T, b string, masked bool) (code int, reason string) {
	t.Helper()
	head := 2
	if masked {
		head = 6
	}
	if len(b) < head+2 || b[0] != 0x88 || (b[1] >= 0x80) != masked || len(b) != head+int(b[1]&0x7f) {
		t.Fatalf("%q is no Close (masked: %v)", b, masked)
	}
	p := []byte(b[head:])
	if masked {
		for i := range p {
			p[i] ^= b[2+i%4]
		}
	}
	return int(binary.BigEndian.Uint16(p)), string(p[2:])
}

func (s *sides) receipt() drain.Receipt {
	s.t.Helper()
	s.until("drained", func() bool { return s.tracker.State() == drain.Drained })
	r := s.tracker.Receipt()
	if err := r.Audit(); err != nil {
		s.t.Error(err)
	}
	return r
}

// TestWebSocketIsToldBetweenFrames: the server is in the middle of a frame when the time comes;
// the client goes on until it answers. Everything that was whole arrives, both get one Close, and
// the tunnel ends completed and told.
func TestWebSocketIsToldBetweenFrames(t *testing.T) {
	s := openWS(t, Config{}, 0)
	long := wsFrame(2, strings.Repeat("x", 1000), false)
	s.server.Write([]byte(long[:500]))
	s.drainWS()
	s.until("half of the frame", func() bool { return len(s.client.got) == 500 })
	// The farewell of the first connection comes 8.4 s after draining began, and the server is
	// told half a second later in any case.
	s.pass(8500 * time.Millisecond)
	if s.client.got != long[:500] || s.got != "" {
		t.Fatalf("within a frame the client got %q, and the server %q", s.client.got[500:], s.got)
	}
	hello := wsFrame(1, "hello", true)
	s.client.Write([]byte(hello))
	s.server.Write([]byte(long[500:] + wsFrame(1, "late", false)))
	s.until("the Close", func() bool { return len(s.client.got) > len(long)+30 })
	s.until("the message of the client", func() bool { return strings.HasPrefix(s.got, hello) })
	code, reason := said(t, s.client.got[len(long):], false)
	if code != 1001 || !strings.Contains(reason, "retry-after=") {
		t.Errorf("the client hears %d %q", code, reason)
	}
	s.client.Write([]byte(wsFrame(8, "\x03\xe9", true)))
	s.until("the Close to the server", func() bool { return len(s.got) > len(hello)+30 })
	if code, reason := said(t, s.got[len(hello):], true); code != 1001 || !strings.Contains(reason, "retry-after=") {
		t.Errorf("the server hears %d %q", code, reason)
	}
	s.server.Write([]byte(wsFrame(8, "\x03\xe9", false)))
	s.until("the client sees the end", func() bool { return s.client.eof })
	s.server.Close()
	s.client.Close()
	r := s.receipt()
	if !r.Clean() || r.Outcomes.Completed != 1 || r.ToldClass.Tunnel != 1 || s.client.reset || s.reset {
		t.Errorf("receipt %v, %+v; resets: %v %v", r, r.Outcomes, s.client.reset, s.reset)
	}
	if st := s.core.Stats(); st.Farewells != 1 || st.FarewellsAnswered != 1 {
		t.Errorf("%d told, %d answered", st.Farewells, st.FarewellsAnswered)
	}
}

// TestWebSocketThatDoesNotAnswer is cut at the deadline and named; but it was told, between two
// frames, and is not reset.
func TestWebSocketThatDoesNotAnswer(t *testing.T) {
	s := openWS(t, Config{}, websocket.ServiceRestart)
	s.drainWS()
	s.until("both hear it", func() bool { return len(s.client.got) > 30 && len(s.got) > 30 })
	if code, _ := said(t, s.client.got, false); code != 1012 {
		t.Errorf("the client hears %d", code)
	}
	said(t, s.got, true)
	r := s.receipt()
	if r.CutTotal != 1 || r.Cut[0].Cause != "deadline" || len(r.Cut[0].Requests) != 1 || r.StuckTotal != 0 {
		t.Errorf("receipt %v: %+v", r, r.Cut)
	}
	if s.client.reset || s.reset || !s.client.eof || !s.eof {
		t.Errorf("resets: %v %v, ends: %v %v", s.client.reset, s.reset, s.client.eof, s.eof)
	}
	if st := s.core.Stats(); st.Farewells != 1 || st.FarewellsAnswered != 0 {
		t.Errorf("%d told, %d answered", st.Farewells, st.FarewellsAnswered)
	}
}

// TestWebSocketWhoseClientHasLeft: it answered, and is gone; the server does not. The tracker knows
// the tunnel by its client, and cuts it all the same.
func TestWebSocketWhoseClientHasLeft(t *testing.T) {
	s := openWS(t, Config{}, 0)
	s.drainWS()
	s.until("the Close", func() bool { return len(s.client.got) > 30 })
	s.client.Write([]byte(wsFrame(8, "\x03\xe9", true)))
	s.until("the end of the client", func() bool { return s.client.eof })
	s.client.Close()
	if r := s.receipt(); r.CutTotal != 1 || r.StuckTotal != 0 || s.reset || !s.eof {
		t.Errorf("receipt %v; the server was reset: %v, ended: %v", r, s.reset, s.eof)
	}
}

// TestWebSocketThatCloses: a handshake of the peers passes untouched, in a drain as ever.
func TestWebSocketThatCloses(t *testing.T) {
	for _, draining := range []bool{false, true} {
		s := openWS(t, Config{}, 0)
		if draining {
			s.drainWS()
		}
		theirs, answer := wsFrame(8, "\x03\xe8bye", true), wsFrame(8, "\x03\xe8", false)
		s.client.Write([]byte(theirs))
		s.until("their Close", func() bool { return s.got == theirs })
		s.server.Write([]byte(answer))
		s.server.CloseWrite()
		s.until("the answer", func() bool { return s.client.got == answer && s.client.eof })
		s.client.CloseWrite()
		s.until("the end", func() bool { return s.eof })
		if !draining {
			s.drainWS()
		}
		r := s.receipt()
		if !r.Clean() || r.Told != 0 || draining && r.Outcomes.Completed != 1 {
			t.Errorf("draining %v: receipt %v, %+v", draining, r, r.Outcomes)
		}
	}
}

// TestWhatIsNoWebSocketIsATunnel: frames that are none, or another protocol: nothing is sent, and
// it is cut as it always was.
func TestWhatIsNoWebSocketIsATunnel(t *testing.T) {
	s := openWS(t, Config{}, 0)
	raw := "this is something else\r\n"
	s.client.Write([]byte(raw))
	s.until("it arrives", func() bool { return s.got == raw })
	s.drainWS()
	if r := s.receipt(); r.CutTotal != 1 || s.client.got != "" || s.got != raw || r.Told != 0 {
		t.Errorf("receipt %v; the client got %q, the server %q", r, s.client.got, s.got)
	}
}

// TestOperatorClosesWebSocket: with the same goodbye, and a bound.
func TestOperatorClosesWebSocket(t *testing.T) {
	for _, answers := range []bool{true, false} {
		t.Run(fmt.Sprint(answers), func(t *testing.T) {
			s := openWS(t, Config{}, 0)
			began := s.net.Now()
			if !s.tracker.Evict(s.tracker.Snapshot(0)[0].ID) {
				t.Fatal("not found")
			}
			s.until("the Close", func() bool { return len(s.client.got) > 30 })
			if code, reason := said(t, s.client.got, false); code != 1001 || !strings.HasPrefix(reason, "closed by an operator; retry-after=") {
				t.Errorf("the client hears %d %q", code, reason)
			}
			if answers {
				s.client.Write([]byte(wsFrame(8, "", true)))
			}
			s.until("the Close to the server", func() bool { return len(s.got) > 30 })
			said(t, s.got, true)
			if answers {
				s.server.Write([]byte(wsFrame(8, "", false)))
				s.server.CloseWrite()
				s.until("the FIN", func() bool { return s.client.eof })
				s.client.CloseWrite()
			}
			s.until("the end", func() bool { return s.tracker.Stats().Connections.Total() == 0 })
			if took := s.net.Now().Sub(began); took > 1300*time.Millisecond || !answers && took < partBound {
				t.Errorf("took %v", took)
			}
			want := "cut"
			if answers {
				want = "completed"
			}
			if n := s.core.Stats().Listeners[0].Closed[want]; n != 1 {
				t.Errorf("outcomes %v, want %s", s.core.Stats().Listeners[0].Closed, want)
			}
		})
	}
}

// TestCutWithoutWarning: the operator does not want to wait. Who stands between two frames is
// told even so; who does not is reset, and looks like it.
func TestCutWithoutWarning(t *testing.T) {
	s := openWS(t, Config{}, 0)
	s.client.Write([]byte(wsFrame(1, "hello", true)[:4]))
	s.until("the beginning of a frame", func() bool { return len(s.got) == 4 })
	s.drainWS()
	s.tracker.Cut(s.net.Now())
	s.tracker.Step(s.net.Now())
	r := s.receipt()
	said(t, s.client.got, false)
	s.until("the server sees the end", func() bool { return s.reset || s.eof })
	if !s.reset || len(s.got) != 4 || s.client.reset || r.CutTotal != 1 {
		t.Errorf("the server got %q, reset %v; the client reset %v; receipt %v", s.got, s.reset, s.client.reset, r)
	}
}

// TestWebSocketLeavesInAHurry: a client that resets when it is told, and a server that goes
// without a Close: the other one is told all the same.
func TestWebSocketLeavesInAHurry(t *testing.T) {
	s := openWS(t, Config{}, 0)
	s.drainWS()
	s.until("the Close", func() bool { return len(s.client.got) > 30 })
	s.client.Abort()
	s.until("the Close to the server", func() bool { return len(s.got) > 30 })
	said(t, s.got, true)
	s.server.Write([]byte(wsFrame(8, "", false)))
	s.server.CloseWrite()
	s.until("the end of the server", func() bool { return s.eof })
	if r := s.receipt(); !r.Clean() || r.Outcomes.ClientClosed+r.Outcomes.Completed != 1 {
		t.Errorf("receipt %v %+v", r, r.Outcomes)
	}

	s = openWS(t, Config{}, 0)
	s.drainWS()
	s.until("the Close", func() bool { return len(s.client.got) > 30 })
	s.server.Close()
	s.client.Write([]byte(wsFrame(8, "", true)))
	s.until("the end", func() bool { return s.client.eof })
	s.client.Close()
	if r := s.receipt(); !r.Clean() || s.client.reset {
		t.Errorf("receipt %v %+v, reset %v", r, r.Outcomes, s.client.reset)
	}
}

// TestLargeFramesAreMoved: the payload of a large frame is carried by the driver, and the Close
// stands behind it.
func TestLargeFramesAreMoved(t *testing.T) {
	s := openWS(t, Config{MoveFrom: 1000}, 0)
	payload := strings.Repeat("y", 60_000)
	frame := wsFrame(2, payload, false)
	for from := 0; from < len(frame); from += 7000 {
		s.server.Write([]byte(frame[from:min(from+7000, len(frame))]))
	}
	s.until("some of it", func() bool { return len(s.client.got) > 100 })
	s.tracker.Evict(s.tracker.Snapshot(0)[0].ID)
	s.until("all of it, and a Close", func() bool { return len(s.client.got) > len(frame)+30 })
	if s.client.got[:len(frame)] != frame {
		t.Error("the frame arrived as another")
	}
	said(t, s.client.got[len(frame):], false)
	s.client.Abort()
	s.server.Abort()
	s.until("the end", func() bool { return s.tracker.Stats().Connections.Total() == 0 })
}

// TestTunnelWhoseClientHasLeft: what is still owed to the upstream does not outlive the deadline,
// although the connection is gone by which the tracker knows the tunnel.
func TestTunnelWhoseClientHasLeft(t *testing.T) {
	w := newWalk(t, Config{PeerTimeout: -1, MoveFrom: -1})
	w.net.Window = 1024
	w.open()
	var up *sim.Sock
	w.net.Listen("up:1").Accept(func(s *sim.Sock) {
		up = s
		s.SetEvents(sim.Events{})
		s.Pause()
	})
	c := w.dial("db")
	c.Write(make([]byte, 20_000))
	w.until("some of it is owed", func() bool { return up != nil && w.tracker.Snapshot(0)[0].BytesIn > 5000 })
	c.Abort()
	w.until("the client is gone", func() bool { return w.driver.Conns() == 1 })
	w.drain(2 * time.Second)
	w.until("drained", func() bool { return w.tracker.State() == drain.Drained })
	if r := w.tracker.Receipt(); r.StuckTotal != 0 || r.CutTotal != 1 {
		t.Errorf("%v", r)
	}
}
