package proxy_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/drain"
)

// TestLook asks the loops what each connection waits for; more of them than fit into one piece.
func TestLook(t *testing.T) { onEveryDriver(t, look) }

func look(t *testing.T, newDriver driverMaker) {
	release := make(chan struct{})
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { <-release }))
	defer up.Close()
	defer close(release)
	s, tracker, addr := serve(t, newDriver, up.Listener.Addr().String())
	const each = 150
	for range each {
		for _, begin := range []string{"", "GET / HTTP", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n"} {
			nc, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			fmt.Fprint(nc, begin)
		}
	}
	want := map[string]int{"": each, "for the rest of a request head": each, "for the head of a response": each, "for the rest of a request": each}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for got := map[string]int{}; fmt.Sprint(got) != fmt.Sprint(want); {
		if ctx.Err() != nil {
			t.Fatalf("waits %v, want %v", got, want)
		}
		var refs []uint64
		for _, h := range tracker.View(0).Holders {
			refs = append(refs, h.Ref)
		}
		got = map[string]int{}
		for _, d := range s.Look(ctx, refs) {
			got[d.Waits]++
		}
	}
	if got := s.Look(ctx, []uint64{1 << 50, 77}); len(got) != 0 {
		t.Errorf("connections that there are not: %v", got)
	}
	s.Close()
	over, cancelOver := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancelOver()
	s.Look(over, []uint64{0}) // nobody answers any more: it ends with its context
}

// Evict reaches the connection through its loop, whatever it is doing.
func TestEvictThroughTheLoop(t *testing.T) { onEveryDriver(t, evictThroughTheLoop) }

func evictThroughTheLoop(t *testing.T, newDriver driverMaker) {
	release := make(chan struct{})
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { <-release }))
	defer up.Close()
	defer close(release)
	_, tracker, addr := serve(t, newDriver, up.Listener.Addr().String())
	for name, begin := range map[string]string{"active": "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "handshake": ""} {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		fmt.Fprint(nc, begin)
		var h drain.Holder
		for limit := time.Now().Add(20 * time.Second); h.Class.String() != name || h.ID == 0; {
			for _, h = range tracker.View(1).Holders {
			}
			if time.Now().After(limit) {
				t.Fatalf("no connection that is %s", name)
			}
		}
		if !tracker.Evict(h.ID) {
			t.Fatalf("%s: not found", name)
		}
		nc.SetReadDeadline(time.Now().Add(20 * time.Second))
		buf := make([]byte, 1000)
		n, err := nc.Read(buf)
		if ne, ok := err.(net.Error); ok && ne.Timeout() {
			t.Errorf("%s: still open", name)
		}
		if name == "active" && !strings.HasPrefix(string(buf[:n]), "HTTP/1.1 503") {
			t.Errorf("an exchange without an answer was evicted with %q", buf[:n])
		}
		nc.Close()
		for limit := time.Now().Add(20 * time.Second); len(tracker.Snapshot(1)) > 0; {
			if time.Now().After(limit) {
				t.Fatalf("%s: its handle never came back", name)
			}
		}
	}
}
