package proxy

import (
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/internal/sim"
)

// kept is an access log in memory.
type kept struct{ strings.Builder }

func (l *kept) WriteLines(b []byte) { l.Write(b) }

// TestRecordSaysWhyAStreamEnded, whatever it was, and the account of requests that were dropped does not have it.
func TestRecordSaysWhyAStreamEnded(t *testing.T) {
	for body, want := range map[string]string{
		"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n":                                                `"status":200,"reason":"session_revoked","err":"the session was revoked"`,
		"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n":       `"status":200,"reason":"session_revoked","bytes_in"`,
		"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\nx\r\n":        `"status":200,"reason":"session_revoked","err":"the session was revoked"`,
		"Content-Type: text/event-stream\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\ndata: 1\n": `"status":200,"reason":"session_revoked","err":"the session was revoked"`,
	} {
		log := &kept{}
		w := newWalk(t, Config{Sessions: newLogins(), AccessLog: log})
		w.open()
		k := w.guard()
		w.simple("HTTP/1.1 200 OK\r\n" + body)
		c := w.dial("web")
		c.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\nX-Login: ann\r\n\r\n"))
		w.until("some of it", func() bool { return c.has("hello")() || c.has("data: 1\n")() })
		k.revoked["ann"] = true
		w.core.Recheck()
		w.within(time.Second, "the record", func() bool { return log.Len() > 0 })
		if !strings.Contains(log.String(), want) {
			t.Errorf("%q: %s", body, log)
		}
		if n := w.core.Stats().Dropped; n != 0 {
			t.Errorf("%d were dropped", n)
		}
		w.barred(sessionRevoked, 1)
		c.Close()
	}
}

// TestDeadlineWhileAnEventEnds: the drain is over while a stream of events that may not go on waits for the end of an event, or its client for what was
// sent: the drain did not cut that.
func TestDeadlineWhileAnEventEnds(t *testing.T) {
	for _, kind := range []string{"events", "events, slow", "plain, slow", "plain, early, slow"} {
		slow := strings.HasSuffix(kind, "slow")
		head := chunkedEvents
		if !strings.HasPrefix(kind, "events") {
			head = "Transfer-Encoding: chunked"
		}
		w := newWalk(t, Config{Sessions: newLogins()})
		w.net.Window = 512
		w.open()
		k := w.guard()
		w.upstream(func(s *sim.Sock, got []byte) {
			if strings.HasSuffix(string(got), "\r\n\r\n") {
				s.Write([]byte("HTTP/1.1 200 OK\r\n" + head + "\r\n\r\n1f40\r\ndata: " + strings.Repeat("x", 8000-6) + "\r\n"))
			}
		})
		c := w.dial("web")
		if slow {
			c.ReadMost(64)
		}
		c.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\nX-Login: ann\r\n\r\n"))
		w.until("an event begins", c.has("data: "))
		if slow {
			c.Pause()
		}
		w.pass(time.Second)
		w.drain(1200 * time.Millisecond)
		if !strings.Contains(kind, "early") {
			w.pass(800 * time.Millisecond)
		}
		k.revoked["ann"] = true
		w.core.Recheck()
		w.until("drained", func() bool { return w.tracker.State() == drain.Drained })
		r := w.tracker.Receipt()
		if r.CutTotal != 0 || r.Outcomes.Errored != 1 || r.Exchanges.Failed != 1 || r.Audit() != nil {
			t.Errorf("%s: %v, %+v, %+v, %v", kind, r, r.Outcomes, r.Exchanges, r.Audit())
		}
		w.barred(sessionRevoked, 1)
	}
}
