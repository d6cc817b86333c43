package dashboard

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener in memory, so that its time is the test's.
type pipes struct {
	conns chan net.Conn
	done  chan struct{} // closed by Close
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { close(p.done); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "memory", Net: "unix"} }

// house serves streams.
type house struct {
	*Streams
	pipes *pipes
	still atomic.Bool
	ended chan error // of each Serve
}

// serve runs streams in the bubble of a test; what it returns ends that.
func serve(cfg Config) (*house, func()) {
	h := &house{Streams: NewStreams(cfg), pipes: &pipes{make(chan net.Conn), make(chan struct{})}, ended: make(chan error, 100)}
	h.still.Store(true)
	server := &http.Server{WriteTimeout: 3 * time.Second, ReadTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := h.Serve(w, r, h.still.Load)
		if err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		h.ended <- err
	})}
	over := make(chan struct{})
	go func() { _ = server.Serve(h.pipes); close(over) }() // ends with Close
	return h, func() {
		h.Close()
		for h.Open() > 0 { // a look may be under way; time is the bubble's
			time.Sleep(lastWords)
		}
		_ = server.Close()
		<-over
		synctest.Wait()
	}
}

// open asks for a stream and returns its connection; nothing is read yet.
func (h *house) open(t *testing.T) net.Conn {
	t.Helper()
	ours, theirs := net.Pipe()
	h.pipes.conns <- theirs
	if _, err := io.WriteString(ours, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	return ours
}

// follow reads a stream to its end, in lines that are not empty.
func follow(t *testing.T, c net.Conn) (status int, lines chan string) {
	t.Helper()
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	lines = make(chan string, 10000)
	go func() { // ends with the stream
		in := bufio.NewScanner(res.Body)
		for in.Scan() {
			if in.Text() != "" {
				lines <- in.Text()
			}
		}
		if in.Err() != nil {
			lines <- "fault: " + in.Err().Error()
		}
		_ = c.Close()
		close(lines)
	}()
	return res.StatusCode, lines
}

// text is what came until now.
func text(lines chan string) string {
	synctest.Wait()
	var got []string
	for {
		select {
		case line, ok := <-lines:
			if ok {
				got = append(got, line)
				continue
			}
			return strings.Join(append(got, "EOF"), "; ")
		default:
			return strings.Join(got, "; ")
		}
	}
}

// numbered looks each second, and says how often it did.
func numbered() (Config, *atomic.Int64) {
	var n atomic.Int64
	return Config{Look: func() Look { return Look{fmt.Appendf(nil, `{"n":%d}`, n.Add(1)), time.Second} }}, &n
}

// One look serves all, at its pace, for longer than the server's own timeouts.
func TestLooksAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg, n := numbered()
		h, end := serve(cfg)
		defer end()
		_, first := follow(t, h.open(t))
		if got := text(first); got != `event: look; data: {"n":1}` {
			t.Fatalf("at once: %s", got)
		}
		_, second := follow(t, h.open(t))
		if got := text(second); got != `event: look; data: {"n":1}` {
			t.Errorf("the second, at once: %s", got)
		}
		time.Sleep(time.Minute)
		if got := text(first); strings.Count(got, "event: look") != 60 || !strings.HasSuffix(got, `{"n":61}`) {
			t.Errorf("in a minute: %s", got)
		}
		if got := n.Load(); got != 61 {
			t.Errorf("%d looks for two streams of a minute, want 61", got)
		}
	})
}

// A look that takes long is followed by a long rest.
func TestLooksRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		h, end := serve(Config{Look: func() Look {
			n++
			time.Sleep(200 * time.Millisecond)
			return Look{[]byte("{}"), time.Second}
		}})
		defer end()
		_, lines := follow(t, h.open(t))
		time.Sleep(time.Minute)
		text(lines)
		if n < 5 || n > 7 {
			t.Errorf("%d looks of 200 ms in a minute, want one each 10 s", n)
		}
	})
}

// There are no more streams than may be; one that went makes room.
func TestStreamsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg, _ := numbered()
		cfg.Max = 2
		h, end := serve(cfg)
		defer end()
		first := h.open(t)
		follow(t, first)
		follow(t, h.open(t))
		status, lines := follow(t, h.open(t))
		if text(lines); status != 503 || !errors.Is(<-h.ended, ErrFull) {
			t.Errorf("the third: %d", status)
		}
		_ = first.Close()
		<-h.ended
		if status, _ := follow(t, h.open(t)); status != 200 {
			t.Errorf("after one went: %d", status)
		}
	})
}

// Each gets a last look, one for all, and hears why it ends; new ones may come until Close.
func TestEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg, n := numbered()
		h, end := serve(cfg)
		defer end()
		_, a := follow(t, h.open(t))
		_, b := follow(t, h.open(t))
		text(a)
		text(b)
		time.Sleep(300 * time.Millisecond) // between two looks
		began := time.Now()
		h.End(Drained)
		for _, lines := range []chan string{a, b} {
			if got := text(lines); got != `event: look; data: {"n":2}; event: end; data: {"why":"drained"}; EOF` {
				t.Errorf("the end: %s", got)
			}
		}
		if took := time.Since(began); took != 0 || n.Load() != 2 {
			t.Errorf("it took %v and %d looks", took, n.Load())
		}
		_, c := follow(t, h.open(t))
		if got := text(c); !strings.HasPrefix(got, "event: look") {
			t.Errorf("after the end: %s", got)
		}
		h.Close()
		if got := text(c); !strings.HasSuffix(got, `data: {"why":"over"}; EOF`) {
			t.Errorf("after Close: %s", got)
		}
		for range 3 {
			<-h.ended
		}
		if status, _ := follow(t, h.open(t)); status != 503 || !errors.Is(<-h.ended, ErrOver) {
			t.Errorf("after Close: %d", status)
		}
	})
}

// Who may not look any more is told before the next look.
func TestWithdrawn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg, _ := numbered()
		h, end := serve(cfg)
		defer end()
		_, lines := follow(t, h.open(t))
		text(lines)
		h.still.Store(false)
		time.Sleep(2 * time.Second)
		if got := text(lines); got != `event: end; data: {"why":"withdrawn"}; EOF` {
			t.Errorf("%s", got)
		}
	})
}

// Who does not read is dropped when its time is over, and at the end nearly at once.
func TestSlowReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg, _ := numbered()
		h, end := serve(cfg)
		defer end()
		c := h.open(t) // nothing is ever read: a pipe has no room
		began := time.Now()
		<-h.ended
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("dropped after %v, want 5s", took)
		}
		_ = c.Close()

		c = h.open(t)
		synctest.Wait()
		time.Sleep(time.Second)
		began = time.Now()
		h.End(Drained)
		if took := time.Since(began); took != 0 {
			t.Errorf("End waited %v", took)
		}
		<-h.ended
		if took := time.Since(began); took > 3*lastWords {
			t.Errorf("it held the end for %v", took)
		}
		_ = c.Close()
		if h.Open() != 0 {
			t.Errorf("%d are open", h.Open())
		}
	})
}
