package e2e

import (
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestClimb plays the table of what crosses to an upstream of HTTP/2 and back. What arrives on either side is what was meant, or
// nothing, and never a part that looks like the whole; both connections serve a good request afterwards.
func TestClimb(t *testing.T) {
	t.Parallel()
	cases := readClimbCases(t)
	if len(cases) < 60 {
		t.Errorf("%d cases, want at least 60", len(cases))
	}
	up := newSummit(t)
	s := run(t, setup{policy: strings.Replace(strictPolicy(up.ln.Addr().String()), "]}", "], protocol: http2}", 1)})
	s.await(t, "serving", msg("serving"))
	plays := 0
	for _, c := range cases {
		for _, how := range []struct {
			name string
			is   bool
			play func(addr string, c *climbCase, n int) (*heard, error)
		}{{"HTTP/1.1", c.overHTTP1(), playHTTP1}, {"HTTP/2", c.overHTTP2(), playHTTP2}} {
			if !how.is {
				continue
			}
			plays++
			up.begin(c)
			got, err := how.play(s.web, c, plays)
			why := ""
			if err != nil {
				why = err.Error()
			} else {
				why = c.judge(got, up.settled(2*time.Second))
			}
			if why == "" {
				why = probe(s.web, plays)
			}
			if why != "" {
				t.Errorf("%s, from %s, RFC %s: %s", c, how.name, c.rfc, why)
			}
		}
	}
	t.Logf("%d cases, %d plays", len(cases), plays)
}

// probe asks for something good on a new connection: the upstream's goes on.
func probe(addr string, n int) string {
	want := fmt.Sprintf("probe-new-%d", n)
	if a, err := once(addr, get("/"+want)); err != nil || a.status != 200 || a.body != want {
		return fmt.Sprintf("a good request afterwards on a new connection: %d %q, %v", a.status, a.body, err)
	}
	return ""
}

// playHTTP1 plays a case as an HTTP/1.1 client.
func playHTTP1(addr string, c *climbCase, n int) (*heard, error) {
	raw := c.raw
	if raw == "" {
		raw = "GET /case HTTP/1.1\r\nHost: app.example.com\r\n\r\n"
		if c.has("te") {
			raw = "GET /case HTTP/1.1\r\nHost: app.example.com\r\nConnection: te\r\nTE: trailers\r\n\r\n"
		}
		if c.has("head") {
			raw = strings.Replace(raw, "GET", "HEAD", 1)
		}
	}
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	w := &caller{Conn: conn}
	if _, err := io.WriteString(conn, raw); err != nil {
		return nil, err
	}
	if c.has("halfclose") {
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			return nil, err
		}
	}
	h := &heard{}
	for {
		m, err := w.response(strings.HasPrefix(raw, "HEAD "), 2*time.Second)
		if err != nil {
			if len(w.got) > 0 { // a beginning
				h.beginning(w.got)
			}
			return h, nil
		}
		if m.status() < 200 {
			h.interims = append(h.interims, m.start[1])
			continue
		}
		h.whole = true
		h.take(m)
		break
	}
	if len(w.got) > 0 {
		return nil, fmt.Errorf("unsafe: %q behind the response", w.got)
	}
	if w.ended || c.has("halfclose") || c.has("gone") {
		return h, nil
	}
	want := fmt.Sprintf("probe-%d", n)
	if _, err := io.WriteString(conn, get("/"+want)); err != nil {
		return nil, err
	}
	if m, err := w.response(false, 2*time.Second); err == nil && m.body != want || err != nil && !w.ended {
		return nil, fmt.Errorf("a good request on the same connection: %v, %v", m, err)
	}
	return h, nil
}

// playHTTP2 plays a case as an HTTP/2 client.
func playHTTP2(addr string, c *climbCase, n int) (*heard, error) {
	req := c.frames
	if len(req.fields) == 0 {
		method := "GET"
		if c.has("head") {
			method = "HEAD"
		}
		req = &frameCase{fields: [][2]string{{":method", method}, {":scheme", "http"}, {":authority", "app.example.com"}, {":path", "/case"}}}
		if c.has("te") {
			req.fields = append(req.fields, [2]string{"te", "trailers"})
		}
	}
	f, err := dialFrames(addr)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := f.send(req, 1, nil); err != nil {
		return nil, err
	}
	h, err := f.hear(1)
	if err != nil {
		return nil, err
	}
	want := fmt.Sprintf("probe-%d", n)
	if err := f.head(3, [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "app.example.com"}, {":path", "/" + want}}, true); err != nil {
		return nil, err
	}
	if p, err := f.read(3); err != nil || p.status != "200" || p.body != want {
		return nil, fmt.Errorf("a good request on the same connection: %+v, %v", p, err)
	}
	return h, nil
}

// judge compares what came on both sides with the verdict.
func (c *climbCase) judge(got *heard, arrived []climbed) string {
	got.sort()
	switch c.verdict {
	case "forward", "truncated":
		if len(arrived) != 1 || !arrived[0].whole && !c.has("early") {
			return fmt.Sprintf("the upstream got %+v; the client %+v", arrived, got)
		}
		if why := c.judgeUpstream(&arrived[0].told); why != "" {
			return why
		}
		return c.judgeClient(got)
	case "cut":
		if len(arrived) > 1 || len(arrived) == 1 && (arrived[0].whole || arrived[0].reset == "") || got.status == "200" {
			return fmt.Sprintf("the upstream got %+v; the client %+v", arrived, got)
		}
		return ""
	}
	if got.status != c.verdict || got.reason != c.detail || !got.whole {
		return fmt.Sprintf("the client got %+v, want %s %s", got, c.verdict, c.detail)
	}
	if asked := len(c.reply) > 0 && c.has("asked"); !asked && len(arrived) > 0 {
		return fmt.Sprintf("the upstream got %+v", arrived)
	}
	return ""
}

func (c *climbCase) judgeClient(got *heard) string {
	want := *c.client
	if got.addsLength && !slices.Contains(want.fields, "content-length: 0") {
		want.fields = append(slices.Clone(want.fields), "content-length: 0")
		want.sort()
	}
	if !slices.Equal(got.interims, c.interims()) {
		return fmt.Sprintf("the client got the informational responses %q", got.interims)
	}
	switch {
	case c.verdict == "truncated":
		if got.whole || got.status == "" || !strings.HasPrefix(want.body, got.body) {
			return fmt.Sprintf("the client got %+v, want a beginning of %+v", got, want)
		}
		return ""
	case !got.whole || !got.same(&want):
		return fmt.Sprintf("the client got %+v\nwant %+v", got, want)
	}
	return ""
}

// judgeUpstream looks at a request that arrived, without the five fields of our own.
func (c *climbCase) judgeUpstream(got *told) string {
	if c.upstream == nil {
		return ""
	}
	got.fields = slices.DeleteFunc(got.fields, func(f string) bool {
		name, _, _ := strings.Cut(f, ": ")
		return slices.Contains([]string{"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-request-id", "via"}, name)
	})
	if !got.sort().same(c.upstream) {
		return fmt.Sprintf("the upstream got %+v\nwant %+v", got, c.upstream)
	}
	return ""
}
