//go:build linux

package load

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/bench/peers/body"
)

// answers is a server that sends what the origin does, or, with wrong, a byte of it changed.
func answers(t *testing.T, wire Wire, wrong *atomic.Bool) (addr string, handshakes *atomic.Int32) {
	t.Helper()
	handshakes = &atomic.Int32{}
	pattern := body.Pattern()
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if wire == GRPC {
			echoCall(w, r, wrong.Load())
			return
		}
		parts := strings.Split(r.URL.Path, "/") // "", "app", size, id
		n, err := strconv.Atoi(parts[2])
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		b := append([]byte(nil), pattern[:n]...)
		copy(b, parts[3])
		if wrong.Load() {
			b[n-1]++
		}
		_, _ = w.Write(b)
	}))
	srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			handshakes.Add(1)
		}
	}
	if wire == H2C || wire == GRPC {
		srv.Config.Protocols = new(http.Protocols)
		srv.Config.Protocols.SetUnencryptedHTTP2(true)
		srv.Start()
	} else {
		srv.StartTLS()
	}
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().String(), handshakes
}

// echoCall answers a call with its own message, or with one byte of it changed.
func echoCall(w http.ResponseWriter, r *http.Request, wrong bool) {
	b, err := io.ReadAll(r.Body)
	if err != nil || r.Method != http.MethodPost || r.Header.Get("Te") != "trailers" || len(b) != 5+1024 {
		http.Error(w, "no call", http.StatusBadRequest)
		return
	}
	if wrong {
		b[len(b)-1]++
	}
	w.Header().Set("Trailer", "Grpc-Status")
	_, _ = w.Write(b)
	w.Header().Set("Grpc-Status", "0")
}

// Each wire carries requests whose answers are compared, on as many connections as it says.
func TestWires(t *testing.T) {
	for _, wire := range []Wire{TLS, Handshake, Hybrid, H2C, GRPC} {
		t.Run(string(wire), func(t *testing.T) {
			var wrong atomic.Bool
			addr, conns := answers(t, wire, &wrong)
			cfg := Config{Mode: KeepAlive, Wire: wire, Addr: addr, Conns: 3, Size: 1024, Warm: 10 * time.Millisecond, Duration: 100 * time.Millisecond}
			run := func() (r Result) {
				t.Helper()
				var out bytes.Buffer
				if err := Run(cfg, strings.NewReader("go\n"), &out); err != nil {
					t.Fatal(err)
				}
				_, rest, _ := strings.Cut(out.String(), "ready\n")
				if err := json.NewDecoder(strings.NewReader(rest)).Decode(&r); err != nil && err != io.EOF {
					t.Fatalf("%v in %q", err, out.String())
				}
				return r
			}
			r := run()
			size := int64(1024)
			if wire == GRPC {
				size += 5
			}
			if r.Count == 0 || r.Errors > 0 || r.Mismatches > 0 || r.Bytes != r.Count*size || r.P99 <= 0 {
				t.Errorf("%+v", r)
			}
			each := wire == Handshake || wire == Hybrid
			if n := conns.Load(); each && int64(n) < r.Count || !each && n != 3 {
				t.Errorf("%d connections for %d requests", n, r.Count)
			}
			wrong.Store(true)
			if r := run(); r.Mismatches == 0 || r.Count > 0 {
				t.Errorf("wrong bodies are not noticed: %+v", r)
			}
		})
	}
}

// A message that comes back with a wrong byte, in its header or behind it, is noticed.
func TestWrongMessagesAreSeen(t *testing.T) {
	for name, change := range map[string]func(head []byte, b []byte){
		"header": func(head, _ []byte) { head[1]-- },
		"first":  func(_, b []byte) { b[0]++ },
		"last":   func(_, b []byte) { b[len(b)-1]++ },
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp4", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan struct{})
			go func() { // ends when the listener closes
				defer close(done)
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					answerMessage(c, change)
				}
			}()
			t.Cleanup(func() { _ = l.Close(); <-done })
			r, err := run(t, Config{Mode: KeepAlive, Wire: WebSocket, Addr: l.Addr().String(), Conns: 1, Size: 200, Duration: 50 * time.Millisecond})
			if err != nil || r.Mismatches == 0 || r.Count != 0 {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
}

// answerMessage opens a WebSocket and sends one message back, changed.
func answerMessage(c net.Conn, change func(head, b []byte)) {
	defer func() { _ = c.Close() }()
	in := make([]byte, 64<<10)
	if _, err := c.Read(in); err != nil {
		return
	}
	if _, err := io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\n\r\n"); err != nil {
		return
	}
	frame := make([]byte, 8+200)
	if _, err := io.ReadFull(c, frame); err != nil {
		return
	}
	head, b := append([]byte(nil), frame[:4]...), frame[8:]
	head[1] &^= 0x80
	for i := range b {
		b[i] ^= frame[4+i&3]
	}
	change(head, b)
	_, _ = c.Write(append(head, b...))
}
