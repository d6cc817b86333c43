package h2

import (
	"runtime"
	"testing"
)

// A request whose fields are in the HPACK tables, and its answer, allocate nothing.
func TestNoAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	b := &testing.B{}
	_, do := benchServer(b, 1024, &Pool{})
	i := 2
	for ; i < 100; i++ {
		do(i)
	}
	if n := testing.AllocsPerRun(1000, func() { do(i); i++ }); n >= 1 { // the WINDOW_UPDATE of the test is a sixteenth
		t.Errorf("%v allocations a request", n)
	}
}

// What an idle connection holds, with a shared pool: the figure in the package comment.
func TestIdleMemory(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector needs memory of its own")
	}
	for _, tc := range []struct {
		name     string
		requests int
		most     uint64
	}{{"before the first request", 0, 1 << 10}, {"after requests", 4, 8 << 10}} {
		pool := &Pool{}
		const n = 1000
		keep := make([]*Conn, n)
		before := heap()
		for i := range keep {
			c := New(Config{Pool: pool}, &quietEvents{recorder: &recorder{}, head: func(s *Stream) {
				s.Head(idleAnswer, false)
				s.Write(make([]byte, 100), true)
			}})
			keep[i] = c
			p := newScript(true)
			for k := range tc.requests {
				p.headers(uint32(2*k+1), true, ":method=GET", ":scheme=https", ":authority=www.example.com", ":path=/index.html",
					"user-agent=Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0", "accept=text/html,application/xhtml+xml",
					"accept-encoding=gzip, deflate, br", "accept-language=en-US,en;q=0.5")
			}
			if err := c.Receive(p.take(), 0); err != nil {
				t.Fatal(err)
			}
			c.Append(nil, 1<<20)
			if c.Streams() != 0 {
				t.Fatalf("%d streams", c.Streams())
			}
		}
		each := (heap() - before) / n
		t.Logf("%s: %d bytes a connection", tc.name, each)
		if each > tc.most {
			t.Errorf("%s: %d bytes a connection, want at most %d", tc.name, each, tc.most)
		}
		runtime.KeepAlive(keep)
	}
}

var idleAnswer = fieldsOf(":status=200", "server=sluice", "content-type=text/html; charset=utf-8", "content-length=100", "cache-control=no-cache")

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
