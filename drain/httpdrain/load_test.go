package httpdrain_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// load is a closed loop of clients that try nothing twice, and what they counted.
type load struct {
	done, lost, refused atomic.Int64
	mu                  sync.Mutex // guards why
	why                 []string
	running             sync.WaitGroup
	grown               chan struct{} // capacity 1
}

// begin starts n clients with keep-alive POSTs; every fourth has a connection for each request.
func begin(addr string, n int) *load {
	l := &load{grown: make(chan struct{}, 1)}
	for i := range n {
		l.running.Go(func() { l.client(addr, i%4 != 3) }) // ends when refused, or lost
	}
	return l
}

const patience = 20 * time.Second

func (l *load) client(addr string, keep bool) {
	var c net.Conn
	var in *bufio.Reader
	defer func() {
		if c != nil {
			c.Close()
		}
	}()
	for {
		if c == nil {
			var err error
			if c, err = net.DialTimeout("tcp", addr, patience); err != nil {
				if errors.Is(err, syscall.ECONNREFUSED) {
					l.refused.Add(1)
				} else {
					l.lose("dial", err)
				}
				return
			}
			_ = c.SetDeadline(time.Now().Add(patience))
			in = bufio.NewReader(c)
		}
		body := strings.Repeat("x", 300)
		if _, err := fmt.Fprintf(c, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", len(body), body); err != nil {
			l.lose("write", err)
			return
		}
		resp, err := http.ReadResponse(in, nil)
		var got []byte
		if err == nil {
			got, err = io.ReadAll(resp.Body)
		}
		if err != nil || resp.StatusCode != 200 || string(got) != body {
			l.lose("read", err)
			return
		}
		l.done.Add(1)
		select {
		case l.grown <- struct{}{}:
		default:
		}
		if resp.Close || !keep {
			c.Close()
			c = nil
		}
	}
}

func (l *load) lose(where string, err error) {
	l.lost.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.why) < 20 {
		l.why = append(l.why, fmt.Sprintf("%s: %v", where, err))
	}
}

func (l *load) warm(t *testing.T, n int64) {
	t.Helper()
	limit := time.After(patience)
	for l.done.Load() < n {
		select {
		case <-l.grown:
		case <-limit:
			t.Fatalf("only %d of %d exchanges", l.done.Load(), n)
		}
	}
}

// echo answers with the body of the request.
func echo(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }
