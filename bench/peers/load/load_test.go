//go:build linux

package load

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluiceproxy/sluice/bench/peers/body"
	"github.com/sluiceproxy/sluice/bench/peers/origin"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve starts the origin and returns the addresses of its ports.
func serve(t *testing.T) (http, echo, bulk, grpc string) {
	t.Helper()
	leash, end, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out, ready := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- origin.Serve(leash, ready) }() // ends with the leash
	t.Cleanup(func() {
		_ = end.Close()
		if err := <-done; err != nil {
			t.Errorf("origin: %v", err)
		}
		_ = leash.Close()
	})
	var ports [4 * origin.Sets]int
	for i := range ports {
		if _, err := fmt.Fscan(out, &ports[i]); err != nil {
			t.Fatal(err)
		}
	}
	at := func(p int) string { return fmt.Sprintf("127.0.0.1:%d", p) }
	return at(ports[0]), at(ports[1]), at(ports[2]), at(ports[3])
}

// run does a whole load as the harness does.
func run(t *testing.T, cfg Config) (Result, error) {
	t.Helper()
	in, say := io.Pipe()
	hear, out := io.Pipe()
	done := make(chan error, 1)
	go func() { // ends when the load does, which is when in ends
		err := Run(cfg, in, out)
		_ = out.Close()
		_ = in.Close()
		done <- err
	}()
	lines := bufio.NewScanner(hear)
	var r Result
	for lines.Scan() {
		if lines.Text() == "ready" {
			_, _ = say.Write([]byte("go\n"))
			continue
		}
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		_ = say.Close()
	}
	return r, <-done
}

func TestEveryModeAgainstTheOrigin(t *testing.T) {
	http, echo, bulk, grpc := serve(t)
	const d = 150 * time.Millisecond
	for name, cfg := range map[string]Config{
		"keep-alive": {Mode: KeepAlive, Addr: http, Conns: 300, Size: 1024},
		"16 KiB":     {Mode: KeepAlive, Addr: http, Conns: 4, Size: 16 << 10, Key: "k"},
		"1 MiB":      {Mode: KeepAlive, Addr: http, Conns: 4, Size: 1 << 20},
		"upload":     {Mode: KeepAlive, Addr: http, Conns: 4, Size: 1 << 20, Upload: true},
		"routes":     {Mode: KeepAlive, Addr: http, Conns: 4, Size: 64, Routes: 100_000},
		"paced":      {Mode: Paced, Addr: http, Conns: 8, Size: 1024, Rate: 1000},
		"churn":      {Mode: Churn, Addr: http, Conns: 8, Size: 1024},
		"echo":       {Mode: Echo, Addr: echo, Conns: 8, Size: 1024},
		"bulk":       {Mode: Bulk, Addr: bulk, Conns: 2, Size: 1024},
		"idle":       {Mode: Idle, Addr: http, Conns: 300, Size: 1024},
		"grpc":       {Mode: KeepAlive, Wire: GRPC, Addr: grpc, Conns: 3, Size: 128, Key: "k"},
		"websocket":  {Mode: KeepAlive, Wire: WebSocket, Addr: http, Conns: 8, Size: 1024},
	} {
		cfg.Warm, cfg.Duration = 20*time.Millisecond, d
		r, err := run(t, cfg)
		if err != nil || r.Mismatches != 0 || r.Errors != 0 {
			t.Errorf("%s: %+v, %v", name, r, err)
			continue
		}
		idle := cfg.Mode == Idle
		if (r.Count == 0) != idle || (r.Bytes == 0) != idle || !idle && (r.P50 <= 0 || r.P50 > r.Max || r.Elapsed < d) {
			t.Errorf("%s: %+v", name, r)
		}
		if cfg.Mode == Paced && (r.Count < 140 || r.Count > 150) {
			t.Errorf("paced: %d requests in %v at 1000/s", r.Count, d)
		}
	}
}

// broken answers every request on a connection with what reply makes of its ID.
func broken(t *testing.T, reply func(id, path string) string) string {
	t.Helper()
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
			answerAll(c, reply)
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String()
}

func answerAll(c net.Conn, reply func(id, path string) string) {
	defer func() { _ = c.Close() }()
	r := bufio.NewReader(c)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		f := strings.Fields(line)
		if len(f) < 2 || !strings.HasPrefix(f[1], "/") {
			continue
		}
		if _, err := io.WriteString(c, reply(f[1][len(f[1])-body.IDLen:], f[1])); err != nil {
			return
		}
	}
}

func TestWhatIsWrongIsSeen(t *testing.T) {
	p := body.Pattern()
	answer := func(id string, n int) string {
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s%s", n, id, p[body.IDLen:n])
	}
	for name, c := range map[string]struct {
		reply      func(id, path string) string
		mismatches bool
	}{
		"another request's body": {func(id, _ string) string { return answer("0123456789abcdef", 1024) }, true},
		"one byte changed":       {func(id, _ string) string { a := []byte(answer(id, 1024)); a[len(a)-1] ^= 1; return string(a) }, true},
		"shorter":                {func(id, _ string) string { return answer(id, 1023) }, true},
		"a byte too many":        {func(id, _ string) string { return answer(id, 1024) + "x" }, true},
		"an upload was wrong":    {func(id, _ string) string { return "HTTP/1.1 409 Conflict\r\nContent-Length: 0\r\n\r\n" }, true},
		"unavailable":            {func(id, _ string) string { return "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n" }, false},
		"no length":              {func(id, _ string) string { return "HTTP/1.1 200 OK\r\n\r\n" }, true},
	} {
		r, _ := run(t, Config{Mode: KeepAlive, Addr: broken(t, c.reply), Conns: 1, Size: 1024, Duration: 50 * time.Millisecond})
		if (r.Mismatches > 0) != c.mismatches || r.Errors == 0 || r.Failure == "" {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// A wrong upload is found by the origin: here by one that is told another size.
func TestOriginComparesUploads(t *testing.T) {
	http, _, _, _ := serve(t)
	c, err := net.Dial("tcp4", http)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	id := body.NewID(9)
	p := body.Pattern()
	ask := func(payload string) string {
		if _, err := fmt.Fprintf(c, "POST /x/%d/%s HTTP/1.1\r\nHost: h\r\ncontent-length: %d\r\n\r\n%s", len(payload), id, len(payload), payload); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 1024)
		n, err := c.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		line, _, _ := strings.Cut(string(b[:n]), "\r\n")
		return line
	}
	good := string(id[:]) + string(p[body.IDLen:100])
	if got := ask(good); got != "HTTP/1.1 200 OK" {
		t.Errorf("the right body: %s", got)
	}
	if got := ask(good[:50] + "x" + good[51:]); got != "HTTP/1.1 409 Conflict" {
		t.Errorf("one byte wrong: %s", got)
	}
}

// With Connection: close, which the floor passes on, the origin waits for the body all the same.
func TestOriginReadsABodyBeforeItCloses(t *testing.T) {
	http, _, _, _ := serve(t)
	c, err := net.Dial("tcp4", http)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	id := body.NewID(9)
	if _, err := fmt.Fprintf(c, "POST /x/64/%s HTTP/1.1\r\nConnection: close\r\nContent-Length: 64\r\n\r\n%s", id, id); err != nil {
		t.Fatal(err)
	}
	if err := c.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil { // long enough to be wrong in
		t.Fatal(err)
	}
	if n, err := c.Read(make([]byte, 1)); !os.IsTimeout(err) {
		t.Fatalf("%d bytes, %v before the body was sent", n, err)
	}
	if _, err := c.Write(body.Pattern()[body.IDLen:64]); err != nil {
		t.Fatal(err)
	}
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(c)
	if err != nil || !strings.HasPrefix(string(all), "HTTP/1.1 200 ") {
		t.Errorf("%.40q, %v", all, err)
	}
}

// A server that stalls once delays all that fell due meanwhile, and the percentiles say so.
func TestPacedCountsFromWhenARequestWasDue(t *testing.T) {
	p := body.Pattern()
	n := 0
	addr := broken(t, func(id, _ string) string {
		if n++; n == 30 {
			time.Sleep(100 * time.Millisecond) // the stall that is measured, not a wait for a condition
		}
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: 64\r\n\r\n%s%s", id, p[body.IDLen:64])
	})
	r, err := run(t, Config{Mode: Paced, Addr: addr, Conns: 1, Size: 64, Rate: 500, Duration: 400 * time.Millisecond})
	if err != nil || r.Errors != 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	// One of 200 requests stalled itself; about 50 fell due behind it.
	if r.Count < 195 || r.P99 < 50*time.Millisecond {
		t.Errorf("%d requests, p99 %v; want 199 and at least 50ms", r.Count, r.P99)
	}
}

func TestValidate(t *testing.T) {
	good := Config{Mode: KeepAlive, Addr: "127.0.0.1:1", Conns: 1, Size: 64}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Config){
		"not loopback":      func(c *Config) { c.Addr = "192.0.2.1:80" },
		"no port":           func(c *Config) { c.Addr = "127.0.0.1" },
		"no connections":    func(c *Config) { c.Conns = 0 },
		"too long":          func(c *Config) { c.Duration = time.Hour },
		"too small":         func(c *Config) { c.Size = 1 },
		"no rate":           func(c *Config) { c.Mode = Paced },
		"an unknown mode":   func(c *Config) { c.Mode = "x" },
		"too many routes":   func(c *Config) { c.Routes = 1 << 30 },
		"a negative warmup": func(c *Config) { c.Warm = -1 },
	} {
		bad := good
		spoil(&bad)
		if bad.Validate() == nil {
			t.Errorf("%s passes", name)
		}
	}
}
