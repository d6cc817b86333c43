package proxy_test

import (
	"bytes"
	"io"
	"net"
	"runtime"
	"runtime/metrics"
	"testing"
)

// TestSteadyStateAllocatesNothing drives one keep-alive connection through the whole
// proxy, client and upstream written so that they allocate nothing either.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	onEveryDriver(t, func(t *testing.T, newDriver driverMaker) {
		steadyStateAllocatesNothing(t, newDriver, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
	})
}

// Nor does a response without a length, which is an open stream for as long as it lasts.
func TestChunkedResponsesAllocateNothing(t *testing.T) {
	onEveryDriver(t, func(t *testing.T, newDriver driverMaker) {
		steadyStateAllocatesNothing(t, newDriver, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
	})
}

func steadyStateAllocatesNothing(t *testing.T, newDriver driverMaker, response string) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go rawUpstream(ln, response)
	_, _, addr := serve(t, newDriver, ln.Addr().String())
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	req := []byte("GET /a/b?c=d HTTP/1.1\r\nHost: app.example.com\r\nUser-Agent: t\r\nAccept: */*\r\nCookie: a=b\r\n\r\n")
	buf, last := make([]byte, 4096), []byte(response[len(response)-5:])
	round := func(n int) {
		for range n {
			if _, err := nc.Write(req); err != nil {
				t.Fatal(err)
			}
			for got := 0; !bytes.HasSuffix(buf[:got], last); {
				k, err := nc.Read(buf[got:])
				if err != nil {
					t.Fatal(err)
				}
				got += k
			}
		}
	}
	// Objects are counted when their span goes back, at the latest in a collection: without
	// one before each reading, those of tests that ran earlier are counted here.
	objects := func() uint64 {
		runtime.GC()
		s := []metrics.Sample{{Name: "/gc/heap/allocs:objects"}}
		metrics.Read(s)
		return s[0].Value.Uint64()
	}
	round(2000)
	before := objects()
	const n = 20_000
	round(n)
	if got := objects() - before; got > n/100 {
		t.Errorf("%d objects allocated for %d requests", got, n)
	}
}

func rawUpstream(ln net.Listener, response string) {
	for {
		nc, err := ln.Accept()
		if err != nil {
			return
		}
		go func() {
			defer nc.Close()
			resp := []byte(response)
			buf := make([]byte, 4096)
			for got := 0; ; {
				k, err := nc.Read(buf[got:])
				if err == io.EOF || err != nil {
					return
				}
				if got += k; bytes.HasSuffix(buf[:got], []byte("\r\n\r\n")) {
					got = 0
					if _, err := nc.Write(resp); err != nil {
						return
					}
				}
			}
		}()
	}
}
