package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// G4, memory: clients that take nothing and upstreams that take nothing cost what
// docs/operations.md says, and no more, however much there is to be sent.

// The formula of docs/operations.md, in bytes.
const (
	formulaBase     = 48 << 20
	formulaStream   = 256 << 10 // an exchange with something that a peer does not take
	formulaPortable = 512 << 10 // the same, carried by goroutines
)

// memoryGroup makes a memory cgroup with a limit, or skips.
func memoryGroup(t *testing.T, limit int64) (procs string) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Skipf("no cgroups here: %v", err)
	}
	var dir, file string
	for line := range strings.Lines(string(text)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		switch {
		case len(f) == 3 && f[1] == "memory":
			dir, file = filepath.Join("/sys/fs/cgroup/memory", f[2]), "memory.limit_in_bytes"
		case len(f) == 3 && f[0] == "0" && dir == "":
			dir, file = filepath.Join("/sys/fs/cgroup", f[2]), "memory.max"
		}
	}
	dir = filepath.Join(dir, fmt.Sprintf("sluice-e2e-%d", os.Getpid()))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Skipf("a memory cgroup cannot be made here: %v", err)
	}
	t.Cleanup(func() { // after the process in it was joined
		if err := os.Remove(dir); err != nil {
			t.Errorf("the cgroup is left: %v", err)
		}
	})
	if err := os.WriteFile(filepath.Join(dir, file), []byte(strconv.FormatInt(limit, 10)), 0o600); err != nil {
		t.Skipf("a memory cgroup cannot be limited here: %v", err)
	}
	return filepath.Join(dir, "cgroup.procs")
}

// small keeps what the kernels hold for a connection small: with the segments of loopback
// it would be megabytes, and nothing would be left to wait in the proxy.
func small(_, _ string, c syscall.RawConn) (err error) {
	cerr := c.Control(func(fd uintptr) {
		err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_MAXSEG, 536)
		if err == nil {
			err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4<<10)
		}
		if err == nil {
			err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_SNDBUF, 16<<10)
		}
	})
	if err == nil {
		err = cerr
	}
	return err
}

// torrent is an upstream that never reads a body, and whose response has no end.
func torrent(t *testing.T) (addr string) {
	t.Helper()
	ln, err := (&net.ListenConfig{Control: small}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	var mu sync.Mutex // guards conns
	var conns []net.Conn
	running.Go(func() { // ends with the listener
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
			running.Go(func() { // ends with the connection
				line := make([]byte, len("GET /chunked"))
				if _, err := io.ReadFull(c, line); err != nil || !strings.HasPrefix(string(line), "GET ") {
					return // and reads no more
				}
				endless(c, "HTTP/1.1 200 OK\r\n", string(line) == "GET /chunked")
			})
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		mu.Lock()
		for _, c := range conns {
			_ = c.Close()
		}
		mu.Unlock()
		running.Wait()
	})
	return ln.Addr().String()
}

// endless writes a message whose body has no end, until the connection ends. What has a
// length is moved by the driver where that is possible; chunks are not.
func endless(c net.Conn, head string, chunked bool) {
	piece := bytes.Repeat([]byte("x"), 32<<10)
	framing := "Content-Length: 1000000000000\r\n\r\n"
	if chunked {
		framing = "Transfer-Encoding: chunked\r\n\r\n"
		piece = fmt.Appendf(nil, "%x\r\n%s\r\n", len(piece), piece)
	}
	_, err := io.WriteString(c, head+framing)
	for err == nil {
		_, err = c.Write(piece)
	}
}

func TestG4MemoryIsBounded(t *testing.T) {
	const streams, limit = 1000, 768 << 20
	procs := memoryGroup(t, limit)
	s := &sluice{dir: prepare(t, setup{policy: policyFor(torrent(t), "127.0.0.1:9", "v1"), extra: "timeouts: {write: 5m, body: 5m}"})}
	s.process = launch(t, nil, "/bin/sh", "-c", `echo $$ > "$0" && exec "$@"`, procs,
		built.sluice, "run", "--config", s.file("sluice.yaml"), "--receipt", s.file("receipt.json"))
	s.web, s.probes = s.listening(t, "listener", "web"), s.listening(t, "component", "probes")
	s.await(t, "serving", msg("serving"))
	if r := s.await(t, "the memory limit", msg("memory")); r["limit"] != float64(limit/10*9) {
		t.Errorf("the log tells of %v, want nine tenths of %d", r, limit)
	}
	before := s.resident(t)

	var sending sync.WaitGroup
	t.Cleanup(sending.Wait) // runs after the connections were closed
	dialer := net.Dialer{Timeout: patience, Control: small}
	for i := range streams {
		c, err := dialer.Dial("tcp", s.web)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		switch chunked := i%4 < 2; {
		case i%2 == 1:
			sending.Go(func() { // ends with the connection
				endless(c, "POST / HTTP/1.1\r\nHost: app.example.com\r\n", chunked)
			})
		case chunked: // reads nothing, like the next
			_, err = io.WriteString(c, get("/chunked"))
		default:
			_, err = io.WriteString(c, get("/length"))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "every stream is under way", func() bool { return s.sum(t, "http_server_active_requests") == streams })
	most, still := int64(0), 0
	eventually(t, "every stream is stuck", func() bool { // nothing has moved for two seconds
		now := s.resident(t)
		if still++; now > most+most/100 {
			still = 0
		}
		most = max(most, now)
		time.Sleep(100 * time.Millisecond) // between two looks
		return still >= 20
	})
	formula := int64(formulaBase + streams*formulaStream)
	if os.Getenv("E2E_DRIVER") == "portable" {
		formula = formulaBase + streams*formulaPortable
	}
	if most > formula {
		t.Errorf("%d MiB resident with %d stuck streams, the formula says at most %d MiB", most>>20, streams, formula>>20)
	}
	if code, _ := s.probe(t, "/readyz"); code != 200 {
		t.Errorf("/readyz says %d", code)
	}
	t.Logf("resident: %d MiB before, at most %d MiB with %d stuck streams: %d KiB each", before>>20, most>>20, streams, (most-before)>>10/streams)
}

// resident is the memory of a process in bytes.
func (p *process) resident(t *testing.T) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "VmRSS:" {
			n, err := strconv.ParseInt(f[1], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n << 10
		}
	}
	t.Fatal("no VmRSS")
	return 0
}
