package e2e

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// streamed is an event stream that was read to its end.
type streamed struct {
	body string
	err  error
}

// readStream opens one and reads it.
func readStream(t *testing.T, addr string) <-chan streamed {
	t.Helper()
	w, err := connect(addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, get("/events?d=1m", "Accept: text/event-stream")); err != nil {
		t.Fatal(err)
	}
	_ = w.SetDeadline(time.Now().Add(2 * patience))
	resp, err := http.ReadResponse(w.in, nil)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("the head of a stream: %v", err)
	}
	first := make([]byte, 1)
	if _, err := io.ReadFull(resp.Body, first); err != nil {
		t.Fatal(err)
	}
	out := make(chan streamed, 1)
	go func() { // ends with the stream, within its deadline
		defer w.Close()
		body, err := io.ReadAll(resp.Body)
		if err == nil {
			_, err = w.in.Peek(1) // FIN, and nothing before it
			if err == io.EOF {
				err = nil
			}
		}
		out <- streamed{string(first) + string(body), err}
	}()
	return out
}

// TestEventStreamsEndCleanly: where their route says so, streams end between two events as soon as
// draining begins, with a hint when to come back; the stop waits for nobody and cuts nothing.
func TestEventStreamsEndCleanly(t *testing.T) {
	t.Parallel()
	const n = 10
	up := newUpstream(t)
	policy := strings.Replace(policyFor(up.web, up.raw, "v1"), "path: {prefix: /}\n", "path: {prefix: /}\n  drain: {event_stream: end}\n", 1)
	s := serve(t, up, setup{policy: policy, drain: "{timeout: 8s, idle_close: 500ms}"})
	streams := make([]<-chan streamed, n)
	for i := range streams {
		streams[i] = readStream(t, s.web)
	}
	s.signal(t, syscall.SIGTERM)
	clean := regexp.MustCompile(`^(data: still here\n\n)+retry: [1-5][0-9]{3}\n\n$`)
	for i, out := range streams {
		if r := <-out; r.err != nil || !clean.MatchString(r.body) {
			t.Errorf("stream %d: %v, ends with %q", i, r.err, r.body[max(0, len(r.body)-60):])
		}
	}
	if code := s.exit(t, patience); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	r := s.receipt(t)
	began, ended := r.phase("drain")
	if r.CutTotal != 0 || r.Told != n || r.Exchanges.Draining != n || ended.Sub(began) > 4*time.Second {
		t.Errorf("cut %d, told %d, %+v; the drain took %v", r.CutTotal, r.Told, r.Exchanges, ended.Sub(began))
	}
}

// TestEventStreamsGoOn where the route says nothing, or wants a hint only.
func TestEventStreamsGoOn(t *testing.T) {
	t.Parallel()
	for class, hints := range map[string]int{"none": 0, "retry": 1} {
		t.Run(class, func(t *testing.T) {
			t.Parallel()
			up := newUpstream(t)
			policy := strings.Replace(policyFor(up.web, up.raw, "v1"), "path: {prefix: /}\n", fmt.Sprintf("path: {prefix: /}\n  drain: {event_stream: %s}\n", class), 1)
			s := serve(t, up, setup{policy: policy, drain: "{timeout: 2s, idle_close: 500ms}"})
			stream := readStream(t, s.web)
			s.signal(t, syscall.SIGTERM)
			r := <-stream
			if n := strings.Count(r.body, "retry: "); r.err == nil || n != hints {
				t.Errorf("%v with %d hints, want an end that looks cut, and %d", r.err, n, hints)
			}
			if code := s.exit(t, patience); code != 3 {
				t.Errorf("exit code %d, want 3", code)
			}
		})
	}
}
