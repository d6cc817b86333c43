package proxy

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/authz"
	"github.com/sluiceproxy/sluice/internal/sim"
	"github.com/sluiceproxy/sluice/proxy/h1"
)

// granted is one request as it was authorised.
type granted struct {
	method, host, path, query string
}

// notary allows everything and keeps what it allowed.
type notary struct{ granted []granted }

func (n *notary) Authorize(_ *authz.Identity, r *authz.Request) authz.Decision {
	n.granted = append(n.granted, granted{r.Method, string(r.Host), string(r.Path), string(r.Query)})
	return authz.Decision{Verdict: authz.Allow, Reason: "accept"}
}

// oneUser takes everybody for one user.
type oneUser struct{}

var ada = authz.Identity{Method: "one", User: "ada", Email: "ada@example.com", Groups: []string{"a", "b"}}

func (oneUser) Name() string                                            { return "one" }
func (oneUser) Try(*authz.Request) (*authz.Identity, authz.Verdict)     { return &ada, authz.Allow }
func (oneUser) Resolve(*authz.Request) (*authz.Identity, authz.Verdict) { return &ada, authz.Allow }
func (oneUser) ChallengeHeader() string                                 { return "" }

// fuzzWalk is a proxy with a notary, whose upstream keeps what it gets.
type fuzzWalk struct {
	*walk
	notary *notary
	got    []*[]byte // by upstream connection
}

// newFuzzWalk has an upstream that answers its first whole request with first and all
// others with ok; fin: it closes its side behind first.
func newFuzzWalk(t *testing.T, first string, fin bool) *fuzzWalk {
	w := &fuzzWalk{walk: newWalk(t, Config{}), notary: &notary{}}
	w.open()
	r := &w.core.gate.Load().routes[0]
	r.Authorizer, r.chain = w.notary, &chain{Authenticators: []authz.Authenticator{oneUser{}}, hidesCredentials: r.hidesCredentials}
	answered := 0
	w.net.Listen("up:1").Accept(func(s *sim.Sock) {
		all, rest := new([]byte), []byte(nil)
		w.got = append(w.got, all)
		s.SetEvents(sim.Events{
			Data: func(b []byte) {
				*all = append(*all, b...)
				rest = append(rest, b...)
				for n := wholeRequest(rest); n > 0; n = wholeRequest(rest) {
					rest = rest[n:]
					if answered++; answered > 1 {
						s.Write([]byte(ok))
						continue
					}
					s.Write([]byte(first))
					if fin {
						s.CloseWrite()
					}
				}
			},
			EOF: func() { s.Close() },
		})
	})
	return w
}

// wholeRequest is the length of the request at the front of b; 0 if it is not whole.
func wholeRequest(b []byte) int {
	var r h1.Request
	n, err := r.Parse(b, h1.Limits{Head: 1 << 20, Line: 1 << 20, Fields: 1000})
	if err != nil || n == 0 {
		return 0
	}
	_, used, whole := readAll(r.Body, r.Length, b[n:])
	if !whole {
		return 0
	}
	return n + used
}

func readAll(kind h1.BodyKind, length int64, in []byte) (data []byte, used int, whole bool) {
	var b h1.Body
	b.Reset(kind, length)
	for used < len(in) && !b.Done() {
		d, n, err := b.Next(in[used:])
		if err != nil {
			return data, used, false
		}
		data = append(data, d...)
		used += n
	}
	return data, used, b.Done()
}

// identityFields is everything by which an upstream may learn who asks.
var identityFields = map[string]string{"x-sluice-user": "ada", "x-sluice-email": "ada@example.com", "x-sluice-groups": "a,b"}

// FuzzForward: whatever a client sends, what arrives at the upstream reads, by our own
// reader and by net/http, as exactly what was authorised: method, host, path, query and
// identity; nothing in it is more than the client sent as a body.
func FuzzForward(f *testing.F) {
	for _, s := range forwardSeeds {
		f.Add([]byte(s), uint16(0))
		f.Add([]byte(s+"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"), uint16(7))
	}
	f.Fuzz(func(t *testing.T, raw []byte, piece uint16) {
		if len(raw) > 16<<10 {
			return
		}
		w := newFuzzWalk(t, ok, false)
		c := w.dial("web")
		size := len(raw)
		if piece > 0 {
			size = int(piece)
		}
		for b := raw; len(b) > 0; {
			n := min(max(size, len(raw)/64+1), len(b))
			c.Write(b[:n])
			b = b[n:]
		}
		w.net.Run(time.Second, func() bool { return false })
		w.checkGranted(t, raw)
	})
}

// forwardSeeds are requests that have something to hide.
var forwardSeeds = []string{
	"GET /a/../b%2e?x=1 HTTP/1.1\r\nHost: APP.Example.com.:81\r\nX-Sluice-User: evil\r\nx_sluice_groups: evil\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\r\n",
	"POST /%61 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nX-Original-URL: /admin\r\n\r\nhello",
	"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX-Sluice-User: evil\r\nX-Sum: 1\r\n\r\n",
	"GET http://[::1]:80/a?b HTTP/1.1\r\nHost: [::1]\r\nForwarded: for=x\r\nX-Forwarded-Host: evil\r\n\r\n",
	"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nX-Request-ID: x\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
	"OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 7\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx",
	"PUT //a//b HTTP/1.1\r\nHost: a\r\nContent-Length: 46\r\n\r\nGET /evil HTTP/1.1\r\nHost: a\r\nX-Sluice-User: x\r\n\r\n",
}

func (w *fuzzWalk) checkGranted(t *testing.T, raw []byte) {
	t.Helper()
	for _, g := range w.notary.granted {
		if g.host == "" { // HTTP/1.0 without Host: the name is then the endpoint's
			return
		}
	}
	next := 0
	for _, all := range w.got {
		for b := *all; len(b) > 0 && next <= len(w.notary.granted); {
			var r h1.Request
			n, err := r.Parse(b, h1.Limits{Head: 1 << 20, Line: 1 << 20, Fields: 1000})
			if err != nil {
				t.Fatalf("client sent %q, upstream got %q: %v", raw, *all, err)
			}
			if next == len(w.notary.granted) {
				t.Fatalf("client sent %q, upstream got more than was authorised: %q", raw, b)
			}
			if n == 0 { // a reset overtook the rest of it: the body is malformed
				next++
				break
			}
			w.notary.granted[next].check(t, b[:n], &r)
			next++
			_, used, whole := readAll(r.Body, r.Length, b[n:])
			checkBody(t, raw, b, &r, n+used, whole)
			b = b[n+used:]
		}
	}
}

// check compares what was authorised with the head that arrived.
func (g granted) check(t *testing.T, head []byte, r *h1.Request) {
	t.Helper()
	host, _ := h1.SplitAuthority(r.Host)
	if g != (granted{string(r.Method), string(host), string(r.Path), string(r.Query)}) {
		t.Fatalf("authorised %q, upstream got %q", g, head)
	}
	for _, f := range r.Fields {
		folded := strings.ToLower(strings.Map(func(c rune) rune {
			if c < 0x80 && alphanumeric(byte(c)) {
				return c
			}
			return '-'
		}, string(f.Name)))
		if want, known := identityFields[folded]; known && (folded != strings.ToLower(string(f.Name)) || want != string(f.Value)) ||
			!known && strings.HasPrefix(folded, "x-sluice-") {
			t.Fatalf("identity %s: %q in %q", f.Name, f.Value, head)
		}
	}
	for name, want := range identityFields {
		if v, n := r.Field(name); n != 1 || string(v) != want {
			t.Fatalf("identity %s: %d fields, %q in %q", name, n, v, head)
		}
	}
}

// checkBody reads the same request with net/http: target, host, and where it ends.
func checkBody(t *testing.T, raw, b []byte, r *h1.Request, used int, whole bool) {
	t.Helper()
	in := bufio.NewReaderSize(bytes.NewReader(b), 1<<20)
	theirs, err := http.ReadRequest(in)
	if err != nil {
		t.Fatalf("client sent %q, net/http reads of %q: %v", raw, b, err)
	}
	if theirs.Method != string(r.Method) || theirs.RequestURI != string(r.Target) || theirs.Host != string(r.Host) {
		t.Fatalf("net/http reads %s %s %s in %q", theirs.Method, theirs.RequestURI, theirs.Host, b)
	}
	_, err = io.Copy(io.Discard, theirs.Body)
	left, _ := io.ReadAll(in)
	if (err == nil) != whole || whole && len(left) != len(b)-used {
		t.Fatalf("net/http ends after %d bytes (%v), our reader after %d (whole %v): %q", len(b)-len(left), err, used, whole, b)
	}
}

// FuzzReply: whatever an upstream answers, the client gets responses that our reader and
// net/http read alike, one for each of its two requests, or a connection that ends in the
// middle; and the second answer is its own.
func FuzzReply(f *testing.F) {
	for _, s := range append(replySeeds, "") {
		for method := range uint8(3) {
			f.Add([]byte(s), method, false)
			f.Add([]byte(s), method, true)
			f.Add([]byte(s+"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"), method, true)
		}
	}
	f.Fuzz(func(t *testing.T, reply []byte, m uint8, fin bool) {
		if len(reply) > 16<<10 {
			return
		}
		method := []string{"GET", "HEAD", "POST"}[m%3]
		w := newFuzzWalk(t, string(reply), fin)
		c := w.dial("web")
		c.Write([]byte(method + " /first HTTP/1.1\r\nHost: a\r\n\r\n"))
		w.net.Run(time.Second, func() bool { return false })
		first := len(c.got)
		c.Write([]byte("GET /second HTTP/1.1\r\nHost: a\r\n\r\n"))
		w.net.Run(time.Second, func() bool { return c.eof || c.reset })
		checkReplies(t, reply, method, c, first, fin)
	})
}

// checkFirst: an answer that looks whole and is not ours is what the upstream sent, whole.
func checkFirst(t *testing.T, reply []byte, method string, fin bool, got []byte) {
	t.Helper()
	var r h1.Response
	status, body := lastReply(t, method, got)
	if bytes.Contains(got, []byte("X-Sluice-Reason: ")) && status >= 500 {
		return
	}
	if len(reply) == 0 && fin && method != "POST" { // asked again, and answered as every request but the first
		reply = []byte(ok)
	}
	for b := reply; ; {
		n, err := r.Parse(b, method == "HEAD", h1.Limits{})
		if err != nil || n == 0 {
			t.Fatalf("upstream sent no response, %q, and the client got %q", reply, got)
		}
		b = b[n:]
		if r.Status < 200 {
			continue
		}
		data, _, whole := readAll(r.Body, r.Length, b)
		whole = whole || r.Body == h1.BodyUntilClose && fin
		if !whole || r.Status != status || !bytes.Equal(data, body) {
			t.Fatalf("upstream sent %q (whole %v), the client got %q", reply, whole, got)
		}
		return
	}
}

// lastReply is the final response of what readReply found whole.
func lastReply(t *testing.T, method string, b []byte) (status int, body []byte) {
	t.Helper()
	for {
		var r h1.Response
		n, err := r.Parse(b, method == "HEAD", h1.Limits{Head: 1 << 20, Line: 1 << 20, Fields: 1000})
		if err != nil {
			t.Fatal(err)
		}
		if b = b[n:]; r.Status >= 200 {
			body, _, _ = readAll(r.Body, r.Length, b)
			return r.Status, body
		}
	}
}

var replySeeds = []string{
	ok,
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n",
	"HTTP/1.0 200 OK\r\n\r\nhi",
	"HTTP/1.1 204 No Content\r\n\r\n",
	"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n",
	"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\r\n",
	"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
	"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhi",
	"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
}

// checkReplies reads the client's side. first is how much of it came before the second request.
func checkReplies(t *testing.T, reply []byte, method string, c *client, first int, fin bool) {
	t.Helper()
	b := []byte(c.got)
	for i, m := range []string{method, "GET"} {
		status, n, whole := readReply(t, reply, m, b)
		if !whole {
			if !c.eof && !c.reset {
				// Nothing of a first answer may be lost: the upstream just goes on.
				if i == 1 {
					t.Fatalf("upstream sent %q: no second answer in %q", reply, c.got)
				}
			}
			return
		}
		if i == 0 && n > first {
			return // the first answer was still under way
		}
		if i == 0 {
			checkFirst(t, reply, method, fin, b[:n])
		}
		if i == 1 && (status != 200 || undated(string(b[:n])) != ok) && status < 500 {
			t.Fatalf("upstream sent %q: the second request was answered with %q", reply, b[:n])
		}
		if b = b[n:]; i == 0 && len(b) > 0 && first > n {
			t.Fatalf("upstream sent %q: behind the first answer came %q", reply, c.got[n:first])
		}
	}
	if len(b) > 0 {
		t.Fatalf("upstream sent %q: behind the answers came %q", reply, b)
	}
}

// readReply reads one final response off the front with both readers.
func readReply(t *testing.T, reply []byte, method string, b []byte) (status, n int, whole bool) {
	t.Helper()
	for {
		var r h1.Response
		head, err := r.Parse(b[n:], method == "HEAD", h1.Limits{Head: 1 << 20, Line: 1 << 20, Fields: 1000})
		if err != nil {
			t.Fatalf("upstream sent %q, client got %q: %v", reply, b, err)
		}
		if head == 0 {
			return 0, 0, false
		}
		if r.Status == 101 {
			t.Fatalf("upstream sent %q, client got a tunnel: %q", reply, b)
		}
		if r.Status < 200 {
			n += head
			continue
		}
		data, used, whole := readAll(r.Body, r.Length, b[n+head:])
		in := bufio.NewReaderSize(bytes.NewReader(b[n:]), 1<<20)
		theirs, err := http.ReadResponse(in, &http.Request{Method: method})
		if err != nil {
			t.Fatalf("upstream sent %q, net/http reads of %q: %v", reply, b[n:], err)
		}
		body, err := io.ReadAll(theirs.Body)
		if theirs.StatusCode != r.Status || (err == nil) != whole || whole && !bytes.Equal(body, data) {
			t.Fatalf("%q: body %q whole %v, net/http reads %q %v", b[n:], data, whole, body, err)
		}
		return r.Status, n + head + used, whole
	}
}
