package h2

import (
	"testing"
)

// benchServer answers each request with a body of n bytes; the requests repeat, as those of a browser do.
func benchServer(b *testing.B, n int, pool *Pool) (*Conn, func(i int)) {
	c, r := newServer(Config{Pool: pool})
	body := make([]byte, n)
	answer := fieldsOf(":status=200", "server=sluice", "content-type=text/plain", "date=Sat, 28 Nov 2026 18:00:00 GMT", "content-length=1024", "via=2 x")
	quiet := &quietEvents{recorder: r, head: func(s *Stream) {
		s.Head(answer, false)
		s.Write(body, true)
	}}
	c.ev = quiet
	p := newScript(true).settings(settingWindow, 1<<20)
	if err := c.Receive(p.take(), 0); err != nil {
		b.Fatal(err)
	}
	fields := []string{":method=GET", ":scheme=https", ":authority=www.example.com", ":path=/index.html", "user-agent=bench",
		"accept=text/html", "accept-encoding=gzip, deflate", "cookie=a=1; b=2"}
	p.headers(1, true, fields...)
	first := p.take()
	p.headers(3, true, fields...)
	next := p.take()
	var out []byte
	do := func(i int) {
		in := next
		if i == 0 {
			in = first
		}
		id := uint32(2*i + 1)
		in[5], in[6], in[7], in[8] = byte(id>>24), byte(id>>16), byte(id>>8), byte(id)
		if err := c.Receive(in, 0); err != nil {
			b.Fatal(err)
		}
		out = c.Append(out[:0], 1<<20)
		if i%16 == 15 {
			if err := c.Receive(appendWord(nil, frameWindow, 0, uint32(16*n)), 0); err != nil {
				b.Fatal(err)
			}
		}
	}
	do(0)
	do(1)
	return c, do
}

type quietEvents struct {
	*recorder
	head func(s *Stream)
}

func (q *quietEvents) Head(s *Stream, _ []Field, _ bool) { q.head(s) }
func (q *quietEvents) Done(*Stream)                      {}
func (q *quietEvents) Data(s *Stream, b []byte, _ bool)  { q.c.Consumed(s, len(b)) }

func BenchmarkGet1K(b *testing.B) {
	c, do := benchServer(b, 1024, &Pool{})
	b.ReportAllocs()
	i := 2
	for b.Loop() {
		do(i)
		i++
	}
	if c.Streams() != 0 {
		b.Fatalf("%d streams are open", c.Streams())
	}
}

func BenchmarkGet64K(b *testing.B) {
	_, do := benchServer(b, 64<<10, &Pool{})
	b.ReportAllocs()
	b.SetBytes(64 << 10)
	i := 2
	for b.Loop() {
		do(i)
		i++
	}
}

func BenchmarkUpload16K(b *testing.B) {
	c, r := newServer(Config{})
	c.ev = &quietEvents{recorder: r}
	r.streams[0] = nil
	c.ev.(*quietEvents).head = func(*Stream) {}
	p := newScript(true).post(1)
	if err := c.Receive(p.take(), 0); err != nil {
		b.Fatal(err)
	}
	in := p.data(1, false, 16<<10).take()
	var out []byte
	b.ReportAllocs()
	b.SetBytes(16 << 10)
	for b.Loop() {
		if err := c.Receive(in, 0); err != nil {
			b.Fatal(err)
		}
		out = c.Append(out[:0], 1<<20)
	}
}
