package e2e

import (
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
)

// SIGTERM finds a connection in each of its phases. What it was doing finishes.

// settle stops a proxy and waits until it drains: its listeners are closed, and the
// account is open.
func (s *sluice) settle(t *testing.T) {
	t.Helper()
	s.signal(t, syscall.SIGTERM)
	// The log says "draining" when the listeners begin to close, the account when they have.
	eventually(t, "it drains", func() bool {
		deadline, _ := s.metric(t, "sluice_drain_deadline_timestamp_seconds")
		return deadline > 0
	})
}

// TestG3HalfARequestFinishesInTheDrain: half a head, half a body by length, half a chunk.
func TestG3HalfARequestFinishesInTheDrain(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	s := serve(t, up, setup{})
	parts := []struct{ name, first, rest, want string }{
		{"half a head", "GET /half HTTP/1.1\r\nHost: app.exam", "ple.com\r\n\r\n", "GET /half by "},
		{"half a body", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234", "56789", "0123456789"},
		{"half a chunk", "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\na\r\n01234", "56789\r\n0\r\n\r\n", "0123456789"},
	}
	open := make([]*wire, len(parts))
	for i, p := range parts {
		w, err := connect(s.web, patience)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		if _, err := io.WriteString(w, p.first); err != nil {
			t.Fatal(err)
		}
		open[i] = w
	}
	eventually(t, "both bodies are under way", func() bool { return len(up.log("/echo")) == 2 })
	s.settle(t)
	for i, p := range parts {
		a, err := open[i].ask(p.rest)
		if err != nil || a.status != 200 || a.body != p.want {
			t.Errorf("%s: %d %q %v, want %q", p.name, a.status, a.body, err, p.want)
		}
		if !a.leave {
			t.Errorf("%s: not told to leave while draining", p.name)
		}
	}
	if code := s.exit(t, patience); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// TestG3IdleConnectionsAreServedOnceMore: idle connections are not closed first. One more
// request is served and told to leave; who stays idle is closed in good order, which
// counts as no cut.
func TestG3IdleConnectionsAreServedOnceMore(t *testing.T) {
	t.Parallel()
	const each = 20
	up := newUpstream(t)
	s := serve(t, up, setup{drain: "{timeout: 10s, idle_close: 2s}"})
	var idle []*wire
	for range 2 * each {
		w, err := connect(s.web, patience)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		if a, err := w.ask(get("/warm")); err != nil || a.status != 200 {
			t.Fatalf("warm: %d %v", a.status, err)
		}
		idle = append(idle, w)
	}
	s.settle(t)
	for i, w := range idle[:each] {
		if a, err := w.ask(get("/again")); err != nil || a.status != 200 || !a.leave {
			t.Errorf("connection %d: %d, told to leave %t, %v; want 200 and to leave", i, a.status, a.leave, err)
		}
	}
	for i, w := range idle[each:] {
		if rest, err := io.ReadAll(w.in); err != nil || len(rest) > 0 {
			t.Errorf("idle connection %d ended with %q, %v; want a FIN", i, rest, err)
		}
	}
	if code := s.exit(t, patience); code != 0 {
		t.Errorf("exit code %d, want 0: an idle close is no cut", code)
	}
	r := s.receipt(t)
	if r.Initial.Idle != 2*each {
		t.Errorf("receipt: %d idle at the start, want %d", r.Initial.Idle, 2*each)
	}
	if r.Exchanges.Draining != each {
		t.Errorf("receipt: %d finished while draining, want %d", r.Exchanges.Draining, each)
	}
	if r.Outcomes.IdleClosed != each {
		t.Errorf("receipt: %d closed idle, want %d", r.Outcomes.IdleClosed, each)
	}
}

// TestG3TheReceiptAgreesWithTheLedger: what the clients counted is what the proxy says.
func TestG3TheReceiptAgreesWithTheLedger(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	s := serve(t, up, setup{})
	var slow []<-chan reply
	for range 12 {
		slow = append(slow, begin(t, s.web, get("/slow?d=1500ms", "Connection: close")))
	}
	eventually(t, "all are upstream", func() bool { return len(up.log("/slow")) == len(slow) })
	s.signal(t, syscall.SIGTERM)
	code := s.exit(t, patience)
	for i, c := range slow {
		if r := <-c; r.err != nil || r.answer.body != strings.Repeat(".", int(1500/50)) {
			t.Errorf("response %d: %d bytes, %v", i, len(r.answer.body), r.err)
		}
	}
	r := s.receipt(t)
	if got := r.Exchanges.LameDuck + r.Exchanges.Draining; code != 0 || r.Initial.Active != len(slow) || got != len(slow) {
		t.Errorf("exit %d, %d active at the start, %d finished; want 0, %d, %d", code, r.Initial.Active, got, len(slow), len(slow))
	}
	var sum string
	if rec := s.find(msg("receipt")); rec != nil {
		sum = rec.str("summary")
	}
	if want := fmt.Sprintf("%d exchanges finished", len(slow)); !strings.Contains(sum, want) {
		t.Errorf("the summary is %q, want %q in it", sum, want)
	}
	if by := r.Phases[len(r.Phases)-1].EndedBy; by != "last_handle" {
		t.Errorf("the drain was ended by %s, want the last handle", by)
	}
}
