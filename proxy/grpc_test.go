package proxy

import (
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/proxy/h1"
	"github.com/sluiceproxy/sluice/proxy/h2"
)

func TestGRPCTimeoutSyntax(t *testing.T) {
	for v, want := range map[string]time.Duration{
		"1H": time.Hour, "2M": 2 * time.Minute, "3S": 3 * time.Second, "4m": 4 * time.Millisecond, "5u": 5 * time.Microsecond,
		"6n": 6, "0m": 0, "99999999H": maxGRPCTimeout, "99999999S": 99999999 * time.Second / 1, "00000007m": 7 * time.Millisecond,
		"": -1, "1": -1, "H": -1, "1h": -1, "1 S": -1, "-1S": -1, "+1S": -1, "1.5S": -1, "123456789S": -1, "1SS": -1,
	} {
		r := h1.Request{Fields: []h1.Field{{Name: []byte("grpc-timeout"), Value: []byte(v)}}}
		d, ok := grpcTimeout(&r)
		if want > maxGRPCTimeout {
			want = maxGRPCTimeout
		}
		if ok != (want >= 0) || ok && d != want {
			t.Errorf("%q: %v, %v; want %v", v, d, ok, want)
		}
	}
}

func TestIsGRPC(t *testing.T) {
	for v, want := range map[string]bool{
		"application/grpc": true, "application/grpc+proto": true, "APPLICATION/GRPC;x=1": true,
		"application/grpc-web": false, "application/grpcx": false, "application/json": false, "": false,
	} {
		r := h1.Request{Fields: []h1.Field{{Name: []byte("content-type"), Value: []byte(v)}}}
		if isGRPC(&r) != want {
			t.Errorf("%q: want %v", v, want)
		}
	}
}

func call(p *h2peer, path string, fields ...string) *h2call {
	return p.call("POST", path, true, append([]string{"content-type: application/grpc", "te: trailers"}, fields...)...)
}

// A call crosses with its trailers, and what we say ourselves is in the words of gRPC.
func TestGRPCCalls(t *testing.T) {
	w := h2Walk(t, Config{})
	p := w.dialH2("web")
	c := call(p, "/s/early")
	w.until("the refusal before the policy", func() bool { return c.done })
	if !strings.Contains(c.head, ":status: 200\ncontent-type: application/grpc\ngrpc-status: 14\n") || !strings.Contains(c.head, "grpc-retry-pushback-ms: 1000\nx-sluice-reason: policy_unsynced\n") {
		t.Errorf("before the policy: %s", c.head)
	}
	w.openH2()
	w.originH2("up:1", h2.Config{}, func(o *h2origin, q *h2request) {
		switch {
		case q.path == "/s/refuse":
			q.s.Head([]h2.Field{pair(":status", "200"), pair("content-type", "application/grpc"), pair("grpc-status", "5")}, true)
		case q.path == "/s/begin":
			q.s.Head([]h2.Field{pair(":status", "200"), pair("content-type", "application/grpc")}, false)
		case q.path == "/s/never":
		case q.path == "/s/same":
			q.s.Reset(h2.Cancel)
		case !strings.Contains(q.head, "te: trailers\n"):
			t.Errorf("without te: trailers: %s", q.head)
		default:
			o.answer(q, "\x00\x00\x00\x00\x02hi", pair("grpc-status", "0"))
		}
	})
	p = w.dialH2("web")
	c = call(p, "/s/ok", "grpc-timeout: 5S")
	w.until("the call", func() bool { return c.done })
	if c.status != "200" || c.body.String() != "\x00\x00\x00\x00\x02hi" || c.trailers != "grpc-status: 0\n" {
		t.Errorf("status %s, body %q, trailers %q", c.status, c.body.String(), c.trailers)
	}
	c = call(p, "/s/refuse")
	w.until("trailers alone", func() bool { return c.done })
	if !strings.Contains(c.head, "grpc-status: 5\n") || c.body.Len() > 0 {
		t.Errorf("head %s", c.head)
	}

	began := w.net.Now()
	c = call(p, "/s/never", "grpc-timeout: 300m")
	w.until("the deadline", func() bool { return c.done })
	if took := w.net.Now().Sub(began); took < 300*time.Millisecond || took > 600*time.Millisecond || !strings.Contains(c.head, "grpc-status: 4\n") {
		t.Errorf("after %v: %s", took, c.head)
	}
	c = call(p, "/s/begin", "grpc-timeout: 300m")
	w.until("the deadline of a stream", func() bool { return c.reset != nil })
	if c.whole || c.reset.Code != h2.Cancel {
		t.Errorf("whole %v, reset %+v", c.whole, c.reset)
	}

	// An upstream that keeps the same deadline gives up by a reset, maybe before our timer says so.
	delay := w.net.MaxDelay
	w.net.MaxDelay = w.net.MinDelay // the whole way is shorter than the step of our timer
	for range 20 {
		c = call(p, "/s/same", "grpc-timeout: 1u")
		w.until("the deadline of both", func() bool { return c.done })
		if !strings.Contains(c.head, "grpc-status: 4\n") {
			t.Fatalf("both: %s", c.head)
		}
	}
	w.net.MaxDelay = delay
	c = call(p, "/s/same", "grpc-timeout: 5S")
	w.until("a reset before the deadline", func() bool { return c.done })
	if !strings.Contains(c.head, "grpc-status: 14\n") {
		t.Errorf("before the deadline: %s", c.head)
	}

	w.core.gate.Load().routes[0].Authorizer = denyAll{}
	c = call(p, "/s/denied")
	w.until("the denial", func() bool { return c.done })
	if !strings.Contains(c.head, "grpc-status: 7\n") || !strings.Contains(c.head, "x-sluice-reason: reject\n") {
		t.Errorf("denied: %s", c.head)
	}
	p.Close()
	w.retired()
}

func TestGRPCMessage(t *testing.T) {
	if got := grpcMessage("50% of \"ä\"\n"); got != "50%25 of \"%C3%A4\"%0A" {
		t.Errorf("%q", got)
	}
}
