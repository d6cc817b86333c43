package load

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/bench/lab/origin"
	"github.com/sluiceproxy/sluice/bench/lab/record"
)

// loser is a server that loses on purpose: what it does to a request follows from the number in
// its ID, and it keeps an account of its own.
type loser struct {
	ln      net.Listener
	running sync.WaitGroup

	mu     sync.Mutex // guards counts
	counts [record.NumClasses][record.NumCauses]int
}

// crimes are what it does, by the number of a request modulo their count: half are served well.
var crimes = []record.Cause{record.ResetBefore, record.ClosedBefore, record.ResetMid, record.Truncated, record.Status502, record.Status503,
	record.Status504, record.StatusOther, record.WrongBody, record.Timeout}

func newLoser(t *testing.T) *loser {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &loser{ln: ln}
	l.running.Go(func() { // ends with ln
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			l.running.Go(func() { l.serve(c.(*net.TCPConn)) }) // ends with the connection
		}
	})
	t.Cleanup(func() { _ = ln.Close(); l.running.Wait() })
	return l
}

func (l *loser) count(id string, c record.Cause) {
	name, _, _ := strings.Cut(id, "-")
	for _, class := range record.Classes() {
		if short, _, _ := strings.Cut(class.String(), "-"); short == name {
			l.mu.Lock()
			l.counts[class][c]++
			l.mu.Unlock()
		}
	}
}

func (l *loser) serve(c *net.TCPConn) {
	defer c.Close()
	in := bufio.NewReader(c)
	for {
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		body, _ := io.ReadAll(req.Body)
		id := req.Header.Get(origin.IDField)
		n, _ := strconv.Atoi(id[strings.LastIndexByte(id, '-')+1:])
		crime := record.OK
		if n%20 < len(crimes) {
			crime = crimes[n%20]
		}
		l.count(id, crime)
		if len(body) == 0 {
			body = []byte(origin.Answer(id))
		}
		if !commit(c, in, crime, string(body)) {
			return
		}
	}
}

// commit answers; keep says whether the connection is of use afterwards.
func commit(c *net.TCPConn, in io.Reader, crime record.Cause, body string) (keep bool) {
	status := map[record.Cause]int{record.Status502: 502, record.Status503: 503, record.Status504: 504, record.StatusOther: 418}[crime]
	switch crime {
	case record.ResetBefore:
		_ = c.SetLinger(0)
		return false
	case record.ClosedBefore:
		return false
	case record.ResetMid, record.Truncated:
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body[:len(body)/2])
		if crime == record.ResetMid {
			time.Sleep(50 * time.Millisecond) // so that what was sent is read before the reset
			_ = c.SetLinger(0)
		}
		return false
	case record.WrongBody:
		body = strings.Repeat("?", len(body))
	case record.Timeout:
		_, _ = io.Copy(io.Discard, in) // until the client gives up
		return false
	case record.OK:
	default:
		fmt.Fprintf(c, "HTTP/1.1 %d No\r\nContent-Length: 2\r\n\r\nno", status)
		return true
	}
	_, err := fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	return err == nil
}

// TestLoserIsReportedExactly: of each class and cause as many as it says itself, and every
// failure with its connection.
func TestLoserIsReportedExactly(t *testing.T) {
	l := newLoser(t)
	r := record.New(time.Now())
	var profiles []Profile
	for _, c := range []record.Class{record.Short, record.KeepAlive, record.PerRequest, record.Upload} {
		profiles = append(profiles, Profile{Class: c, Rate: 60, Hold: 30 * time.Millisecond})
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	New(Config{Web: l.ln.Addr().String(), Profiles: profiles, Seed: 3, Record: r, Patience: 2 * time.Second}).Run(ctx)
	s := r.Sum()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range record.Classes() {
		for cause := range record.Cause(record.NumCauses) {
			got, want := s.Classes[c].Failed[cause], l.counts[c][cause]
			if cause == record.OK {
				got = s.Classes[c].OK
			}
			if got != want {
				t.Errorf("%v %v: %d reported, %d done", c, cause, got, want)
			}
		}
	}
	for _, cause := range crimes {
		if all := s.All(); all.Failed[cause] == 0 {
			t.Errorf("%v was never done: this test shows nothing of it", cause)
		}
	}
	for _, f := range s.Failures {
		if f.Conn.Local == "" || f.Conn.Uses == 0 || f.Err == "" || f.Ended.Before(f.Began) {
			t.Errorf("%+v", f)
		}
		if safe := f.Class != record.KeepAlive && f.Class != record.Upload; f.Safe != (safe && (f.Cause == record.ResetBefore || f.Cause == record.ClosedBefore || f.Cause == record.Timeout)) {
			t.Errorf("%s %v: safe to send again: %v", f.ID, f.Cause, f.Safe)
		}
	}
}

// TestTunnelsThatEndEarly: a stream without its last event, a WebSocket without a Close frame, a
// tunnel that is cut: each by its name.
func TestTunnelsThatEndEarly(t *testing.T) {
	for _, c := range []struct {
		class record.Class
		want  record.Cause
		serve func(c *net.TCPConn, in *bufio.Reader)
	}{
		{record.Events, record.NoTerminator, func(c *net.TCPConn, in *bufio.Reader) {
			_, _ = http.ReadRequest(in)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\ndata: 1\r\n0\r\n\r\n")
		}},
		{record.Events, record.Truncated, func(c *net.TCPConn, in *bufio.Reader) {
			_, _ = http.ReadRequest(in)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\ndata: 1\r\n")
		}},
		{record.WebSocket, record.NoTerminator, func(c *net.TCPConn, in *bufio.Reader) {
			_, _ = http.ReadRequest(in)
			_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
			f, _ := origin.ReadFrame(in)
			_ = origin.WriteFrame(c, f, false)
			_, _ = origin.ReadFrame(in)
		}},
		{record.WebSocket, record.OK, func(c *net.TCPConn, in *bufio.Reader) { // told to leave, properly
			_, _ = http.ReadRequest(in)
			_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
			_, _ = origin.ReadFrame(in)
			_ = origin.WriteFrame(c, origin.Frame{Op: origin.OpClose, Payload: []byte{3, 0xe9}}, false)
			_, _ = origin.ReadFrame(in)
		}},
		{record.TCP, record.Truncated, func(c *net.TCPConn, in *bufio.Reader) {
			line, _ := in.ReadString('\n')
			_, _ = io.WriteString(c, line)
			_, _ = in.ReadString('\n')
		}},
		{record.TCP, record.ClosedBefore, func(_ *net.TCPConn, in *bufio.Reader) { _, _ = in.ReadString('\n') }},
	} {
		t.Run(fmt.Sprintf("%v %v", c.class, c.want), func(t *testing.T) {
			t.Parallel()
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			var running sync.WaitGroup
			running.Go(func() { // ends with ln
				for {
					conn, err := ln.Accept()
					if err != nil {
						return
					}
					running.Go(func() { // ends with the script
						defer conn.Close()
						c.serve(conn.(*net.TCPConn), bufio.NewReader(conn))
					})
				}
			})
			defer running.Wait()
			defer ln.Close()
			r := record.New(time.Now())
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			addr := ln.Addr().String()
			New(Config{Web: addr, Raw: addr, Profiles: []Profile{{Class: c.class, Rate: 20, Hold: 300 * time.Millisecond}}, Record: r}).Run(ctx)
			n := r.Sum().Classes[c.class]
			got := n.Failed[c.want]
			if c.want == record.OK {
				got = n.OK
			}
			if n.Sent < 4 || got != n.Sent {
				t.Errorf("%d of %d; all: %v", got, n.Sent, n.Failed)
			}
		})
	}
}
