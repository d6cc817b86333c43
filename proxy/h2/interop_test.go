package h2

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// drive carries a connection over a socket until either side ends it: a goroutine reads, the caller's one does the rest. do are calls
// for the connection from elsewhere; it returns when the socket is closed, and has joined its reader then.
func drive(conn net.Conn, c *Conn, do <-chan func()) {
	in, read := make(chan []byte), make(chan struct{})
	defer func() {
		conn.Close()
		<-read
	}()
	stop := make(chan struct{})
	defer close(stop)
	go func() { // ends with the socket or with stop; joined by read
		defer close(read)
		for {
			b := make([]byte, 32<<10)
			n, err := conn.Read(b)
			if err != nil {
				close(in)
				return
			}
			select {
			case in <- b[:n]:
			case <-stop:
				return
			}
		}
	}()
	var out []byte
	begin := time.Now()
	for {
		for c.Wants() {
			out = c.Append(out[:0], 64<<10)
			if _, err := conn.Write(out); err != nil {
				return
			}
		}
		select {
		case b, ok := <-in:
			if !ok || c.Receive(b, time.Since(begin)) != nil {
				return
			}
		case f, ok := <-do:
			if !ok {
				return
			}
			f()
		}
	}
}

// echoOwner answers a request with its body, piece by piece, and a trailer.
type echoOwner struct {
	*recorder
	t testing.TB
}

func (e *echoOwner) Head(s *Stream, fields []Field, end bool) {
	s.Interim(fieldsOf(":status=103", "link=</x>"))
	s.Head(fieldsOf(":status=200", "trailer=sum"), false)
	if end {
		s.Trailers(fieldsOf("sum=0"))
	}
}
func (e *echoOwner) Data(s *Stream, b []byte, end bool) {
	n := int64(0)
	if s.Owner != nil {
		n = s.Owner.(int64)
	}
	n += int64(len(b))
	s.Owner = n
	s.Write(b, false)
	if s.Queued() < 64<<10 { // back-pressure: the rest is consumed when there is room
		e.c.Consumed(s, s.Unconsumed())
	}
	if end {
		s.Trailers(fieldsOf(fmt.Sprintf("sum=%d", n)))
	}
}
func (e *echoOwner) Room(s *Stream)                { e.c.Consumed(s, s.Unconsumed()) }
func (e *echoOwner) Trailers(s *Stream, _ []Field) { s.Trailers(fieldsOf("sum=x")) }
func (e *echoOwner) Done(*Stream)                  {}
func (e *echoOwner) Reset(s *Stream, why Cause)    { e.t.Errorf("stream %d: %+v", s.ID(), why) }

func cleartext() *http.Protocols {
	p := &http.Protocols{}
	p.SetUnencryptedHTTP2(true)
	return p
}

// The client of another implementation against our server: many uploads at once through windows, echoed.
func TestServerWithAnotherClient(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	served := make(chan struct{})
	go func() { // ends when the client closes its connection; joined by served
		defer close(served)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		e := &echoOwner{recorder: &recorder{}, t: t}
		e.c = New(Config{StreamWindow: 100_000, ConnWindow: 200_000}, e)
		drive(conn, e.c, nil)
	}()
	tr := &http.Transport{Protocols: cleartext()}
	post := func(i int) {
		body := bytes.Repeat([]byte{byte(i), 1, 2, 3, 4, 5, 6}, i*9000)
		req, err := http.NewRequest("POST", "http://"+l.Addr().String()+"/echo", bytes.NewReader(body))
		if err != nil {
			t.Error(err)
			return
		}
		res, err := tr.RoundTrip(req)
		if err != nil {
			t.Error(err)
			return
		}
		got, err := io.ReadAll(res.Body)
		if err != nil || !bytes.Equal(got, body) || res.Trailer.Get("Sum") != fmt.Sprint(len(body)) {
			t.Errorf("%d of %d bytes, %v, sum %q", len(got), len(body), err, res.Trailer.Get("Sum"))
		}
	}
	post(0) // makes the connection that all others use: the server takes one
	var wg sync.WaitGroup
	for i := range 30 {
		wg.Go(func() { post(i) })
	}
	wg.Wait()
	tr.CloseIdleConnections()
	<-served
}

// pour sends a body of n bytes on each stream and gathers what comes back.
type pour struct {
	*recorder
	t    testing.TB
	got  map[uint32]int
	done chan uint32
}

func (p *pour) Head(s *Stream, fields []Field, _ bool) {
	if string(fields[0].Value) != "200" {
		p.t.Errorf("status %s", fields[0].Value)
	}
}
func (p *pour) Data(s *Stream, b []byte, _ bool) {
	for _, x := range b {
		if x != byte(s.ID()) {
			p.t.Errorf("a byte of another stream")
			break
		}
	}
	p.got[s.ID()] += len(b)
	p.c.Consumed(s, len(b))
}
func (p *pour) Trailers(*Stream, []Field) {}
func (p *pour) Done(s *Stream)            { p.done <- s.ID() }
func (p *pour) Reset(s *Stream, why Cause) {
	p.t.Errorf("stream %d: %+v", s.ID(), why)
	p.done <- s.ID()
}
func (p *pour) Room(*Stream) {}

// Our client against the server of another implementation.
func TestClientWithAnotherServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	served := make(chan struct{})
	server := &http.Server{Protocols: cleartext(), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "Sum")
		n, err := io.Copy(w, r.Body)
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("Sum", fmt.Sprint(n))
	})}
	go func() { // ends with server.Close; joined by served
		defer close(served)
		if err := server.Serve(l); err != http.ErrServerClosed {
			t.Error(err)
		}
	}()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	const streams, size = 30, 200_000
	p := &pour{recorder: &recorder{}, t: t, got: map[uint32]int{}, done: make(chan uint32, streams)}
	p.c = New(Config{Client: true, StreamWindow: 50_000, ConnWindow: 100_000}, p)
	do, driven := make(chan func()), make(chan struct{})
	go func() { // ends when do is closed; joined by driven
		defer close(driven)
		drive(conn, p.c, do)
	}()
	do <- func() {
		for range streams {
			s, err := p.c.Open(fieldsOf(":method=POST", ":scheme=http", ":authority=x", ":path=/"), false)
			if err != nil {
				t.Error(err)
				return
			}
			s.Write(bytes.Repeat([]byte{byte(s.ID())}, size), true)
		}
	}
	for range streams {
		select {
		case <-p.done:
		case <-time.After(30 * time.Second):
			t.Fatal("a stream is stuck")
		}
	}
	close(do)
	<-driven
	server.Close()
	<-served
	for id, n := range p.got {
		if n != size {
			t.Errorf("stream %d: %d of %d bytes", id, n, size)
		}
	}
	if len(p.got) != streams {
		t.Errorf("%d streams of %d", len(p.got), streams)
	}
}
