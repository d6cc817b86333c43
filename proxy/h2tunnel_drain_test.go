package proxy

import (
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/internal/sim"
)

// Near the deadline both sides get a Close, masked as it has to be, and their answers end it: nothing was cut.
func TestWebSocketDrainCrosses(t *testing.T) {
	onEvery(t, pairings, func(t *testing.T, p pairing) {
		x := openCross(t, p, Config{})
		x.core.Tell()
		x.drain(10 * time.Second)
		x.core.Tell()
		hello := wsFrame(1, "hello", true)
		x.client.send(hello)
		x.pass(7 * time.Second)
		x.until("the message", func() bool { return x.server.got == hello })
		if x.client.got != "" {
			t.Fatalf("%q long before the deadline", x.client.got)
		}
		if p.h2Client && len(x.peer.goaways) == 0 {
			t.Error("the client was not told that its connection ends")
		}
		x.until("the Close", func() bool { return wholeClose(x.client.got) })
		if code, reason := said(t, x.client.got, false); code != 1001 || !strings.Contains(reason, "retry-after=") {
			t.Errorf("the client hears %d %q", code, reason)
		}
		x.client.send(wsFrame(8, "\x03\xe9", true))
		x.until("the Close to the server", func() bool { return len(x.server.got) > len(hello) && wholeClose(x.server.got[len(hello):]) })
		if code, _ := said(t, x.server.got[len(hello):], true); code != 1001 {
			t.Errorf("the server hears %d", code)
		}
		x.server.send(wsFrame(8, "\x03\xe9", false))
		x.server.finish()
		x.until("the client sees the end", func() bool { return x.client.eof })
		x.client.finish()
		r := x.receiptOf()
		if !r.Clean() || r.Outcomes.Completed != 1 || r.Told != 1 || x.client.reset || x.server.reset {
			t.Errorf("receipt %v, %+v; resets: %v %v", r, r.Outcomes, x.client.reset, x.server.reset)
		}
		if st := x.core.Stats(); st.Farewells != 1 || st.FarewellsAnswered != 1 {
			t.Errorf("%d told, %d answered", st.Farewells, st.FarewellsAnswered)
		}
	})
}

func (x *cross) receiptOf() drain.Receipt {
	x.t.Helper()
	x.until("drained", func() bool { return x.tracker.State() == drain.Drained })
	r := x.tracker.Receipt()
	if err := r.Audit(); err != nil {
		x.t.Error(err)
	}
	return r
}

// wholeClose reports whether b is as long as its header says.
func wholeClose(b string) bool {
	if len(b) < 2 {
		return false
	}
	n := 2 + int(b[1]&0x7f)
	if b[1] >= 0x80 {
		n += 4
	}
	return len(b) >= n
}

// Who answers no Close is cut at the deadline and named; both were told, and neither is reset before it.
func TestWebSocketThatIsMuteCrosses(t *testing.T) {
	onEvery(t, pairings, func(t *testing.T, p pairing) {
		x := openCross(t, p, Config{})
		x.drain(10 * time.Second)
		x.core.Tell()
		x.until("both hear it", func() bool { return wholeClose(x.client.got) && wholeClose(x.server.got) })
		said(t, x.client.got, false)
		said(t, x.server.got, true)
		r := x.receiptOf()
		if r.CutTotal != 1 || r.Cut[0].Cause != "deadline" || len(r.Cut[0].Requests) != 1 || r.StuckTotal != 0 {
			t.Errorf("receipt %v: %+v", r, r.Cut)
		}
		if !x.client.eof {
			t.Error("the client saw no end")
		}
	})
}

// The client answered and is done; the server does not. The connection has no stream any more, and holds the drain for what is left.
func TestWebSocketWhoseServerIsMute(t *testing.T) {
	onEvery(t, h2Pairings, func(t *testing.T, p pairing) {
		x := openCross(t, p, Config{})
		x.drain(10 * time.Second)
		x.core.Tell()
		x.until("the Close", func() bool { return wholeClose(x.client.got) })
		x.client.send(wsFrame(8, "\x03\xe9", true))
		x.until("the end of the client", func() bool { return x.client.eof })
		x.client.finish()
		if r := x.receiptOf(); r.CutTotal != 1 || r.StuckTotal != 0 || len(r.Cut[0].Requests) != 1 {
			t.Errorf("receipt %v", r)
		}
	})
}

// An operator who closes the connection of a WebSocket has it say goodbye.
func TestOperatorClosesWebSocketOfHTTP2(t *testing.T) {
	for _, answers := range []bool{true, false} {
		x := openCross(t, pairing{h2Client: true}, Config{})
		began := x.net.Now()
		if !x.tracker.Evict(x.tracker.Snapshot(0)[0].ID) {
			t.Fatal("not found")
		}
		x.until("the Close", func() bool { return wholeClose(x.client.got) })
		if _, reason := said(t, x.client.got, false); !strings.HasPrefix(reason, "closed by an operator;") {
			t.Errorf("the client hears %q", reason)
		}
		want := "cut"
		if answers {
			want = "completed"
			x.client.send(wsFrame(8, "", true))
			x.until("the Close to the server", func() bool { return wholeClose(x.server.got) })
			x.server.send(wsFrame(8, "", false))
			x.server.finish()
		}
		x.until("the end", func() bool { return x.tracker.Stats().Connections.Total() == 0 })
		if took := x.net.Now().Sub(began); took > 2500*time.Millisecond || !answers && took < partBound {
			t.Errorf("answers %v: took %v", answers, took)
		}
		if n := x.core.Stats().Listeners[0].Closed[want]; n != 1 {
			t.Errorf("outcomes %v, want %s", x.core.Stats().Listeners[0].Closed, want)
		}
	}
}

// A client's connection goes while a lot of what it sent waits for the upstream: the drain waits for it by the handle of
// that connection, and ends it at the deadline.
func TestWebSocketOutlivesItsConnection(t *testing.T) {
	x := openCross(t, pairing{h2Client: true}, Config{WriteTimeout: -1})
	x.net.Window = 1024
	x.server.look = func() {}
	x.client.send(strings.Repeat("x", 200_000)) // no frames: nobody says goodbye
	x.pass(50 * time.Millisecond)
	l := x.core.loops[0]
	x.peer.Abort()
	x.until("the connection is gone", func() bool { return x.driver.Conns() == 1 })
	if len(l.headless) != 1 || x.tracker.Stats().Connections.Total() != 1 {
		t.Errorf("%d without a head, %d in the account", len(l.headless), x.tracker.Stats().Connections.Total())
	}
	x.drain(2 * time.Second)
	r := x.receiptOf()
	if r.StuckTotal != 0 {
		t.Errorf("receipt %v", r)
	}
	x.over()
}

// Who was told and has answered is being closed. What a server sends behind its own Close then, although it must not, goes nowhere.
func TestWebSocketServerTalksBehindItsClose(t *testing.T) {
	onEvery(t, pairings, func(t *testing.T, p pairing) {
		x := openCross(t, p, Config{})
		theirs, answer, late := wsFrame(8, "\x03\xe8", true), wsFrame(8, "\x03\xe8", false), wsFrame(1, "late", false)
		x.client.send(theirs)
		x.until("the Close of the client", func() bool { return x.server.got == theirs })
		x.drain(10 * time.Second)
		x.core.Tell()
		x.pass(8500 * time.Millisecond) // the farewell finds them closing, and leaves them to it
		x.server.send(answer + late)
		x.until("the end of the client", func() bool { return x.client.eof || x.client.reset })
		x.server.send(late)
		x.pass(100 * time.Millisecond)
		if x.client.got != answer || x.client.reset {
			t.Errorf("the client got %q, reset: %v", x.client.got, x.client.reset)
		}
		x.client.finish()
		x.server.finish()
		if r := x.receiptOf(); !r.Clean() || r.Outcomes.Completed != 1 {
			t.Errorf("receipt %v, %+v", r, r.Outcomes)
		}
	})
}

// The same with an upstream that takes nothing: the receipt names the request of what was cut.
func TestWebSocketThatOutlivesItsConnectionIsNamed(t *testing.T) {
	x := &cross{walk: h2Walk(t, Config{WriteTimeout: -1}), pairing: pairing{h2Client: true}}
	x.open()
	x.net.Window = 1024
	x.net.Listen("up:1").Accept(func(c *sim.Sock) {
		x.overSock(c, func(e *wsEnd) {
			_, key, _ := strings.Cut(e.head, "Sec-WebSocket-Key: ")
			c.Write([]byte(switching(key[:len(wsKey)])))
			c.Pause()
		})
	})
	x.ask("")
	x.until("the client may talk", func() bool { return x.client.head != "" })
	x.client.send(wsFrame(2, strings.Repeat("x", 50_000), true))
	x.pass(100 * time.Millisecond)
	x.peer.Abort()
	x.until("the connection is gone", func() bool { return x.driver.Conns() == 1 })
	x.drain(2 * time.Second)
	if r := x.receiptOf(); r.CutTotal != 1 || len(r.Cut[0].Requests) != 1 {
		t.Errorf("receipt %v: %+v", r, r.Cut)
	}
	x.over()
}
