package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// excessive is an upstream whose answers are so long that a read of a driver may end exactly
// with one, and have another one behind them that nobody asked for.
type excessive struct {
	ln      net.Listener
	size    int
	asked   chan asked // of each request, one at a time; the test answers
	running sync.WaitGroup
}

// asked is a request and the connection that waits for its answer.
type asked struct {
	id   string
	conn *net.TCPConn
}

func newExcessive(t *testing.T, size int) *excessive {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u := &excessive{ln: ln, size: size, asked: make(chan asked, 16)}
	u.running.Go(u.accept) // ends with ln
	t.Cleanup(func() {
		_ = ln.Close()
		u.running.Wait()
	})
	return u
}

func (u *excessive) accept() {
	for {
		conn, err := u.ln.Accept()
		if err != nil {
			return
		}
		u.running.Go(func() { u.serve(conn.(*net.TCPConn)) }) // ends with the connection
	}
}

func (u *excessive) serve(conn *net.TCPConn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	for {
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		u.asked <- asked{r.URL.Path[1:], conn}
	}
}

// answer writes an answer and its excess while the proxy stands still, and lets it go on when both are there: a
// kernel may send them in two pieces, and what comes later than an answer is not what is asked about here.
func (u *excessive) answer(t *testing.T, s *process, to asked) {
	t.Helper()
	out := fmt.Sprintf("HTTP/1.1 200 OK\r\nX-Id: %s\r\nContent-Length: ", to.id)
	rest := u.size - len(out) - len("\r\n\r\n")
	body := rest - len(strconv.Itoa(rest))
	out += strconv.Itoa(body) + "\r\n\r\n" + strings.Repeat("x", body)
	freeze(t, s.cmd.Process.Pid)
	defer s.signal(t, syscall.SIGCONT)
	_ = to.conn.SetWriteDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(to.conn, out+"HTTP/1.1 200 OK\r\nX-Id: evil\r\nContent-Length: 4\r\n\r\nevil"); err != nil {
		t.Fatal(err)
	}
	raw, err := to.conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "all of it is in the proxy's socket", func() (there bool) {
		err := raw.Control(func(fd uintptr) {
			n, err := unix.IoctlGetInt(int(fd), unix.SIOCOUTQ)
			there = err == nil && n == 0
		})
		return err == nil && there
	})
}

// TestExcessBehindAFullRead: an answer ends exactly with a full read of the driver, and what
// the upstream sent behind it waits in the kernel while the next request of the same client
// is ready to go out. It must not go out there: it would get that for its answer.
func TestExcessBehindAFullRead(t *testing.T) {
	for _, size := range []int{4 << 10, 32 << 10} { // of the drivers' reads
		t.Run(strconv.Itoa(size), func(t *testing.T) {
			u := newExcessive(t, size)
			s := serve(t, newUpstream(t), setup{policy: policyFor(u.ln.Addr().String(), u.ln.Addr().String(), "v1")})
			conn, err := net.Dial("tcp", s.web)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			in := bufio.NewReader(conn)
			const rounds, batch = 5, 5
			for i := range rounds {
				var out bytes.Buffer
				for k := range batch {
					fmt.Fprintf(&out, "GET /%d HTTP/1.1\r\nHost: app.example.com\r\n\r\n", i*batch+k)
				}
				_ = conn.SetDeadline(time.Now().Add(patience))
				if _, err := conn.Write(out.Bytes()); err != nil {
					t.Fatal(err)
				}
				for k := range batch {
					select {
					case to := <-u.asked:
						u.answer(t, s.process, to)
					case <-time.After(patience):
						t.Fatalf("request %d has not come", i*batch+k)
					}
					r, err := http.ReadResponse(in, nil)
					if err != nil {
						t.Fatal(err)
					}
					n, err := io.Copy(io.Discard, r.Body)
					if id := r.Header.Get("X-Id"); err != nil || id != strconv.Itoa(i*batch+k) {
						t.Fatalf("request %d got the answer to %q, %d bytes (%v)", i*batch+k, id, n, err)
					}
				}
			}
		})
	}
}
