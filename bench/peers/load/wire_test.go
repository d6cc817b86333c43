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
	if wire == H2C {
		srv.Config.Protocols = new(http.Protocols)
		srv.Config.Protocols.SetUnencryptedHTTP2(true)
		srv.Start()
	} else {
		srv.StartTLS()
	}
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().String(), handshakes
}

// Each wire carries requests whose answers are compared, on as many connections as it says.
func TestWires(t *testing.T) {
	for _, wire := range []Wire{TLS, Handshake, Hybrid, H2C} {
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
			if r.Count == 0 || r.Errors > 0 || r.Mismatches > 0 || r.Bytes != r.Count*1024 || r.P99 <= 0 {
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
