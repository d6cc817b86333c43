package httpdrain

import (
	"bufio"
	"io"
	"net"
	"net/http"
)

// goodbyes wraps a handler: a response that begins when it is time says so.
type goodbyes struct{ next http.Handler }

func (g goodbyes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c, _ := r.Context().Value(connKey{}).(*conn)
	if c == nil { // not by our listener
		g.next.ServeHTTP(w, r)
		return
	}
	p := &response{ResponseWriter: w, c: c}
	c.handlers.Add(1)
	returned := false
	defer func() {
		if !returned { // it panicked: net/http breaks the response off
			c.failed.Store(true)
		}
		c.handlers.Add(-1)
	}()
	if r.ProtoMajor == 1 {
		g.next.ServeHTTP(response1{p}, r)
	} else {
		g.next.ServeHTTP(response2{p}, r)
	}
	p.begin() // a handler that wrote nothing
	returned = true
}

// response decides about the goodbye at the last moment: when the head leaves.
type response struct {
	http.ResponseWriter
	c     *conn
	begun bool
}

func (p *response) begin() {
	if p.begun {
		return
	}
	p.begun = true
	if h := p.c.h2.Load(); h != nil {
		return // frames say it
	}
	if p.c.handle.Goodbye() {
		// net/http closes the connection behind the response; an HTTP/2 that is not ours
		// sends GOAWAY.
		p.Header().Set("Connection", "close")
		p.c.told.Store(true)
		p.c.handle.Told()
	}
}

// Unwrap is for http.ResponseController.
func (p *response) Unwrap() http.ResponseWriter { return p.ResponseWriter }

func (p *response) WriteHeader(status int) {
	if status >= 200 { // what is below is not the response yet
		p.begin()
	}
	p.ResponseWriter.WriteHeader(status)
}

func (p *response) Write(b []byte) (int, error) {
	p.begin()
	return p.ResponseWriter.Write(b)
}

func (p *response) Flush() { _ = p.FlushError() }

func (p *response) FlushError() error {
	p.begin()
	return http.NewResponseController(p.ResponseWriter).Flush()
}

// response1 and response2 are a response with what each protocol's has besides.
type (
	response1 struct{ *response }
	response2 struct{ *response }
)

func (p response1) ReadFrom(r io.Reader) (int64, error) {
	p.begin()
	return io.Copy(p.ResponseWriter, r)
}

func (p response1) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	p.begun = true
	return http.NewResponseController(p.ResponseWriter).Hijack()
}

func (p response2) Push(target string, opts *http.PushOptions) error {
	if pusher, ok := p.ResponseWriter.(http.Pusher); ok {
		return pusher.Push(target, opts)
	}
	return http.ErrNotSupported
}
