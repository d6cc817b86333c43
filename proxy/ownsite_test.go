package proxy

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/authz"
	"github.com/sluiceproxy/sluice/authz/policy"
)

// desk is a site: it answers what it was asked.
type desk struct {
	asked  []string
	answer authz.Answer
	bomb   bool
}

func (d *desk) Owns(path []byte) bool { return strings.HasPrefix(string(path), "/.sluice/desk") }

func (d *desk) Serve(r *authz.Request, body []byte) authz.Answer {
	cookie, _ := r.Fields.Field("cookie")
	secure := map[bool]string{true: "secure", false: "plain"}[r.Secure]
	d.asked = append(d.asked, strings.Join([]string{r.Method, string(r.Host), string(r.Authority), string(r.Path), string(r.Query), secure, string(cookie), string(body)}, "|"))
	if d.bomb {
		panic("the desk broke")
	}
	return d.answer
}

// deskWalk is a proxy with a site and a route for everything.
func deskWalk(t *testing.T, cfg Config) (*walk, *desk) {
	d := &desk{answer: authz.Answer{Status: 303, Reason: "seen", Fields: []authz.Field{{Name: "Location", Value: "/x"}, {Name: "Content-Type", Value: "text/html"}}, Body: []byte("<p>")}}
	cfg.Sites = []authz.Site{d}
	w := newWalk(t, cfg)
	w.simple(ok)
	w.open()
	return w, d
}

func TestSiteIsAskedInPlaceOfARoute(t *testing.T) {
	w, d := deskWalk(t, Config{})
	c := w.dial("web")
	c.Write([]byte("POST /.sluice/desk/a?b=c HTTP/1.1\r\nHost: A.test:81\r\nCookie: k=v\r\nContent-Length: 5\r\n\r\nhe"))
	c.Write([]byte("lloGET /.sluice/%64esk HTTP/1.1\r\nHost: a.test\r\n\r\nGET /app HTTP/1.1\r\nHost: a.test\r\n\r\n"))
	w.until("all answers", c.has("hi"))
	want := []string{"POST|a.test|A.test:81|/.sluice/desk/a|b=c|plain|k=v|hello", "GET|a.test|a.test|/.sluice/desk||plain||"}
	if strings.Join(d.asked, "\n") != strings.Join(want, "\n") {
		t.Errorf("asked %q, want %q", d.asked, want)
	}
	if n := strings.Count(c.got, "HTTP/1.1 303 See Other\r\n"); n != 2 {
		t.Errorf("%d answers in %q", n, c.got)
	}
	for _, line := range []string{"Location: /x\r\n", "Content-Type: text/html\r\n", "X-Sluice-Reason: seen\r\n", "Content-Length: 3\r\n", "\r\n\r\n<p>"} {
		if strings.Count(c.got, line) != 2 {
			t.Errorf("%q is not twice in %q", line, c.got)
		}
	}
	if strings.Contains(strings.Join(w.upReqs, ""), "desk") {
		t.Errorf("an upstream got %q", w.upReqs)
	}
	c.Close()
	w.nothingHeld()
}

func TestSiteOverHTTP2(t *testing.T) {
	w, d := deskWalk(t, Config{Listeners: []ListenerConfig{{Name: "web", Protocol: HTTP, HTTP2: true}}})
	p := w.dialH2("web")
	a := p.call("POST", "/.sluice/desk?q", false, "content-length: 3")
	a.s.Write([]byte("abc"), true)
	p.flush()
	b := p.call("GET", "/app", true)
	w.until("both answers", func() bool { return a.whole && b.whole })
	if a.status != "303" || a.body.String() != "<p>" || b.status != "200" {
		t.Errorf("got %s %q and %s", a.status, a.body.String(), b.status)
	}
	if want := "POST|a|a|/.sluice/desk|q|plain||abc"; len(d.asked) != 1 || d.asked[0] != want {
		t.Errorf("asked %q, want %q", d.asked, want)
	}
}

func TestWhatASiteIsNotAsked(t *testing.T) {
	for name, c := range map[string]struct{ request, want string }{
		"nobody's":     {"GET /.sluice/nothing HTTP/1.1\r\nHost: a\r\n\r\n", "404 Not Found|no_site"},
		"escaped":      {"GET /.sluice/%2e%2e/.sluice/x HTTP/1.1\r\nHost: a\r\n\r\n", "404 Not Found|no_site"},
		"well-known":   {"GET /.well-known/sluice/x HTTP/1.1\r\nHost: a\r\n\r\n", "404 Not Found|no_site"},
		"chunks":       {"POST /.sluice/desk HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "411 Length Required|length_required"},
		"large":        {"POST /.sluice/desk HTTP/1.1\r\nHost: a\r\nContent-Length: 65537\r\n\r\n", "413 Content Too Large|site_body"},
		"ambiguous":    {"GET /.sluice/a//desk HTTP/1.1\r\nHost: a\r\n\r\n", "404 Not Found|no_site"},
		"another path": {"GET /.sluice HTTP/1.1\r\nHost: a\r\n\r\n", "200 OK|"},
	} {
		w, d := deskWalk(t, Config{})
		k := w.dial("web")
		k.Write([]byte(c.request))
		status, reason, _ := strings.Cut(c.want, "|")
		w.until(name+": an answer", k.has("\r\n\r\n"))
		if !strings.HasPrefix(k.got, "HTTP/1.1 "+status+"\r\n") || reason != "" && !strings.Contains(k.got, "X-Sluice-Reason: "+reason+"\r\n") {
			t.Errorf("%s: got %q", name, k.got)
		}
		if len(d.asked) > 0 {
			t.Errorf("%s: asked %q", name, d.asked)
		}
	}
}

// Whoever expects a 100 gets one: nobody else would send it.
func TestSiteLetsABodyCome(t *testing.T) {
	w, d := deskWalk(t, Config{})
	c := w.dial("web")
	c.Write([]byte("POST /.sluice/desk HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"))
	w.until("a 100", c.has("HTTP/1.1 100 Continue\r\n\r\n"))
	c.Write([]byte("ab"))
	w.until("an answer", c.has("<p>"))
	if len(d.asked) != 1 || !strings.HasSuffix(d.asked[0], "|ab") {
		t.Errorf("asked %q", d.asked)
	}
}

// A site that breaks, or says what is no answer, costs its own request; a client that leaves, none.
func TestSiteThatBreaks(t *testing.T) {
	for name, bend := range map[string]func(*desk){
		"a panic":       func(d *desk) { d.bomb = true },
		"a split field": func(d *desk) { d.answer.Fields[0].Value = "/\r\nSet-Cookie: a=b" },
		"no status":     func(d *desk) { d.answer.Status = 99 },
		"no body":       func(d *desk) { d.answer.Status = 204 },
	} {
		heard := 0
		w, d := deskWalk(t, Config{Panicked: func(string, any, []byte) { heard++ }})
		bend(d)
		c := w.dial("web")
		c.Write([]byte("GET /.sluice/desk HTTP/1.1\r\nHost: a\r\n\r\n"))
		w.until(name+": the end", func() bool { return c.eof })
		if !strings.HasPrefix(c.got, "HTTP/1.1 500 ") || heard != 1 {
			t.Errorf("%s: got %q, heard of %d", name, c.got, heard)
		}
		c.Close()
		w.nothingHeld()
	}
}

func TestClientThatLeavesASite(t *testing.T) {
	w, _ := deskWalk(t, Config{})
	c := w.dial("web")
	c.Write([]byte("POST /.sluice/desk HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc"))
	w.pass(time.Second)
	c.Abort()
	w.nothingHeld()
	c = w.dial("web")
	c.Write([]byte("POST /.sluice/desk HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc"))
	w.until("the time of a body is over", c.has("HTTP/1.1 408 "))
	c.Close()
	w.nothingHeld()
}

// A route that could never be reached is a mistake.
func TestRoutesCannotTakePathsOfSites(t *testing.T) {
	for path, want := range map[string]bool{"/.sluice/": false, "/.sluice/desk": false, "/.well-known/sluice/jwks": false, "/.sluice": true, "/.well-known/": true, "/": true} {
		doc, err := policy.Parse("p.yaml", []byte("clusters: {app: {endpoints: [\"up:1\"]}}\nroutes: [{name: app, cluster: app, path: {prefix: \""+path+"\"}, policy: [{allow: {or: [{accept: true}]}}]}]\n"))
		if err != nil {
			t.Fatal(err)
		}
		w := newWalk(t, Config{Sites: []authz.Site{&desk{}}})
		err = w.core.Apply(context.Background(), "1", doc)
		if (err == nil) != want {
			t.Errorf("%s: %v", path, err)
		}
		if err != nil && !strings.Contains(err.Error(), "p.yaml:2:") {
			t.Errorf("%s: the fault has no place: %v", path, err)
		}
		if err := newWalk(t, Config{}).core.Apply(context.Background(), "1", doc); err != nil {
			t.Errorf("%s: without a site: %v", path, err)
		}
	}
}
