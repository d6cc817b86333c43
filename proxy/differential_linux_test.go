package proxy_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/authz/policy"
	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/proxy"
)

// FuzzDriversAgree feeds the same bytes, in random pieces, to a proxy on each driver, and
// compares all that they send: to the client byte by byte, to the upstream request by
// request (where a chunk is cut depends on what came in one read, and how much of a request
// that ends badly was forwarded depends on when that came to light).
func FuzzDriversAgree(f *testing.F) {
	for _, s := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /a HTTP/1.1\r\nHost: a\r\n\r\nHEAD /b HTTP/1.1\r\nHost: a\r\n\r\nGET /closed/x HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nT: v\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n0\r\n\r\n",
		"POST /closed HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\ncut short",
		"GET / HTTP/1.0\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nhello",
		"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /big HTTP/1.1\r\nHost: a\r\n\r\nGET /close HTTP/1.1\r\nHost: a\r\n\r\nGET /rude HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /short HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"nonsense\r\n\r\n", "GET / HTTP/1.1\nHost: a\n\n", "GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n",
	} {
		f.Add([]byte(s), uint64(len(s)))
	}
	stands := map[string]*stand{}
	for name, newDriver := range drivers() {
		stands[name] = newStand(f, newDriver)
	}
	f.Fuzz(func(t *testing.T, in []byte, seed uint64) {
		if len(in) > 16<<10 {
			return
		}
		ref := stands["portable"].play(t, in, seed)
		got := stands["epoll"].play(t, in, seed+1)
		if !bytes.Equal(ref.down, got.down) || ref.reset != got.reset {
			t.Errorf("the client of portable got (reset %v)\n%q\nof epoll (reset %v)\n%q", ref.reset, ref.down, got.reset, got.down)
		}
		if fmt.Sprint(ref.up) != fmt.Sprint(got.up) {
			t.Errorf("the upstream of portable got\n%q\nof epoll\n%q", ref.up, got.up)
		}
	})
}

// stand is a proxy on one driver with an upstream that writes down what it gets.
type stand struct {
	addr string
	ln   net.Listener

	done sync.WaitGroup // connections of the origin
	runs atomic.Uint32

	mu  sync.Mutex // guards got
	got []string   // whole requests of the run, their bodies taken out of the framing
}

// play is what one run sent both ways.
type played struct {
	down  []byte
	reset bool
	up    []string
}

func newStand(f *testing.F, newDriver driverMaker) *stand {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.Fatal(err)
	}
	st := &stand{ln: ln}
	doc, err := policy.Parse("policy.yaml", []byte(`
clusters: {app: {endpoints: ["`+ln.Addr().String()+`"]}}
routes:
- {name: all, cluster: app, policy: [{allow: {and: [{accept: true}]}}]}
- {name: none, path: {prefix: /closed}, cluster: app}
`))
	if err != nil {
		f.Fatal(err)
	}
	s := proxy.NewServer(proxy.ServerConfig{
		Config: proxy.Config{Listeners: []proxy.ListenerConfig{{Name: "web", Address: "127.0.0.1:0"}}, Seed: 7, MoveFrom: 1 << 10},
		Driver: newDriver(nil, 1), Tracker: drain.New(drain.Config{}),
	})
	if err := errors.Join(s.Start(context.Background()), s.Apply(context.Background(), "v1", doc), s.Admit()); err != nil {
		f.Fatal(err)
	}
	st.addr = s.Addr("web").String()
	accepting := make(chan struct{})
	go func() { // ends with the listener
		defer close(accepting)
		st.accept()
	}()
	f.Cleanup(func() {
		s.Close()
		ln.Close()
		<-accepting
		st.done.Wait()
	})
	return st
}

func (st *stand) accept() {
	for {
		nc, err := st.ln.Accept()
		if err != nil {
			return
		}
		st.done.Add(1)
		go st.answer(nc) // ends with the connection
	}
}

// note writes a request down, before it is answered.
func (st *stand) note(r *http.Request, body []byte) {
	r.Header.Del("X-Forwarded-For")
	r.Header.Del("X-Request-Id")
	st.mu.Lock()
	defer st.mu.Unlock()
	st.got = append(st.got, fmt.Sprint(r.Method, r.RequestURI, strings.ReplaceAll(r.Host, st.ln.Addr().String(), "origin"), r.Header, r.Trailer, r.ContentLength, r.TransferEncoding, string(body)))
}

// answer is an origin whose answer depends on the path alone.
func (st *stand) answer(nc net.Conn) {
	defer st.done.Done()
	defer nc.Close()
	br := bufio.NewReader(nc)
	for {
		r, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		if r.Header.Get("Upgrade") != "" && r.ContentLength == 0 {
			fmt.Fprint(nc, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
			_, _ = io.Copy(nc, br)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		st.note(r, body)
		switch r.URL.Path {
		case "/big":
			fmt.Fprintf(nc, "HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n%s", bytes.Repeat([]byte("0123456789"), 20_000))
		case "/close":
			fmt.Fprint(nc, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi")
			return
		case "/rude":
			return
		case "/short":
			fmt.Fprint(nc, "HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\nthis is not all")
			return
		default:
			fmt.Fprintf(nc, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(r.URL.Path), r.URL.Path)
		}
	}
}

var (
	dates = regexp.MustCompile(`Date: [^\r]*\r\n`)
	ids   = regexp.MustCompile(`(?i)X-Request-Id: [^\r]*\r\n`)
)

func same(b []byte) []byte {
	return ids.ReplaceAll(dates.ReplaceAll(b, nil), nil)
}

// play sends in, piece by piece, then FIN, and gathers all that comes of it.
func (st *stand) play(t *testing.T, in []byte, seed uint64) (p played) {
	t.Helper()
	st.mu.Lock()
	st.got = nil
	st.mu.Unlock()
	// From many addresses: one has no port left after 28,000 runs, for a minute.
	from := &net.TCPAddr{IP: net.IPv4(127, 0, byte(st.runs.Add(1)), byte(2+rand.IntN(250)))}
	nc, err := (&net.Dialer{LocalAddr: from}).Dial("tcp", st.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
	writing := make(chan struct{})
	go func() { // ends when all is written, or with the connection
		defer close(writing)
		rnd := rand.New(rand.NewPCG(seed, 1))
		for len(in) > 0 {
			n := min(1+rnd.IntN(1+rnd.IntN(600)), len(in))
			if _, err := nc.Write(in[:n]); err != nil {
				return
			}
			in = in[n:]
		}
		_ = nc.(*net.TCPConn).CloseWrite()
	}()
	down, err := io.ReadAll(nc)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal("the proxy neither answers nor closes")
	}
	<-writing
	nc.Close()
	p.down, p.reset = same(down), err != nil
	st.mu.Lock()
	defer st.mu.Unlock()
	p.up = st.got
	return p
}
