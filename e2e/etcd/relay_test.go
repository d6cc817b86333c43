package etcd

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// relay passes TCP on to one address, and can be cut and slowed. In front of a member's port for its peers it also knows who
// connects: each request between members has X-Server-From, and a connection is of one member.
type relay struct {
	l      net.Listener
	to     string
	peers  bool
	mu     sync.Mutex // guards what follows
	refuse func(from string) bool
	slow   time.Duration       // of each piece, in each direction
	open   map[net.Conn]string // both ends of what is open, by who it is from; "": not known
	done   sync.WaitGroup
}

func newRelay(t *testing.T, to string, peers bool) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{l: l, to: to, peers: peers, open: map[net.Conn]string{}, refuse: func(string) bool { return false }}
	r.done.Go(r.accept) // ends with the listener
	t.Cleanup(func() {
		l.Close()
		r.cut(func(string) bool { return true })
		r.done.Wait()
	})
	return r
}

func (r *relay) address() string { return r.l.Addr().String() }

// cut breaks the connections for which refuse holds and takes no such any more; nil ends that.
func (r *relay) cut(refuse func(from string) bool) {
	if refuse == nil {
		refuse = func(string) bool { return false }
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refuse = refuse
	for c, from := range r.open {
		if refuse(from) {
			c.Close()
		}
	}
}

func (r *relay) delay(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.slow = d
}

func (r *relay) accept() {
	for {
		c, err := r.l.Accept()
		if err != nil {
			return
		}
		r.done.Go(func() { r.serve(c) }) // ends with its connections, which cut closes
	}
}

// admit notes a connection, unless such are refused.
func (r *relay) admit(from string, ends ...net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range ends {
		r.open[c] = from
	}
	return !r.refuse(from)
}

func (r *relay) serve(down net.Conn) {
	defer r.drop(down)
	if !r.admit("", down) && !r.peers {
		return
	}
	var head []byte
	from := ""
	if r.peers {
		if head, from = readHead(down); head == nil {
			return
		}
	}
	up, err := net.Dial("tcp", r.to)
	if err != nil {
		return
	}
	defer r.drop(up)
	if !r.admit(from, down, up) {
		return
	}
	if _, err := up.Write(head); err != nil {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { r.pass(up, down) }) // each ends when the other closed its end
	both.Go(func() { r.pass(down, up) })
	both.Wait()
}

func (r *relay) drop(c net.Conn) {
	c.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.open, c)
}

func (r *relay) pass(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		r.mu.Lock()
		slow := r.slow
		r.mu.Unlock()
		time.Sleep(slow)
		if _, bad := to.Write(b[:n]); bad != nil || err != nil {
			return
		}
	}
}

// readHead reads the head of the first request, and whose it is.
func readHead(c net.Conn) (head []byte, from string) {
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	defer c.SetReadDeadline(time.Time{})
	b := make([]byte, 4<<10)
	for len(head) < 16<<10 && !bytes.Contains(head, []byte("\r\n\r\n")) {
		n, err := c.Read(b)
		head = append(head, b[:n]...)
		if err != nil && (!errors.Is(err, io.EOF) || n == 0) {
			return nil, ""
		}
	}
	for _, line := range bytes.Split(head, []byte("\r\n")) {
		if name, value, ok := bytes.Cut(line, []byte(": ")); ok && bytes.EqualFold(name, []byte("X-Server-From")) {
			from = string(value)
		}
	}
	return head, from
}
