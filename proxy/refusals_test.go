package proxy

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/authz/policy"
)

// The last refusals are kept, and no more memory than they need.
func TestRefusalsAreKept(t *testing.T) {
	doc, err := policy.Parse("p.yaml", []byte(judgedPolicy))
	if err != nil {
		t.Fatal(err)
	}
	w := newWalk(t, Config{})
	doc.Routes = doc.Routes[4:] // closed, far
	if err := w.core.Apply(context.Background(), "7", doc); err != nil {
		t.Fatal(err)
	}
	if err := w.tracker.Open(); err != nil {
		t.Fatal(err)
	}
	c := w.dial("web")
	ask := func(target string) string {
		c.got = ""
		fmt.Fprintf(writer{c.Sock}, "GET %s HTTP/1.1\r\nHost: A.test\r\n\r\n", target)
		w.until("an answer", c.has("\r\n\r\n4"))
		_, id, _ := strings.Cut(c.got, "X-Request-ID: ")
		id, _, _ = strings.Cut(id, "\r\n")
		return id
	}
	find := func(id string) *Refusal { return w.core.loops[0].turnedAway.find(id) }
	first := ask("/closed//a?q=secret")
	r := find(first)
	if r == nil || r.Method != "GET" || r.Host != "a.test" || r.Path != "/closed/a" || r.Route != "closed" || r.Status != 403 || r.Reason != "no-policy" || r.Rule != -1 || r.Policy != "7" || r.Identity != nil {
		t.Fatalf("%+v", r)
	}
	if r := find(ask("/nowhere")); r == nil || r.Status != 404 || r.Reason != "no_route" || r.Route != "" {
		t.Errorf("no route: %+v", r)
	}
	if r := find(ask("/far/" + strings.Repeat("x", 2*keptPath))); r == nil || !r.Truncated || len(r.Path) != keptPath {
		t.Errorf("a long path: %+v", r)
	}
	c.got = ""
	fmt.Fprintf(writer{c.Sock}, "%s /closed/m HTTP/1.1\r\nHost: A.test\r\n\r\n", strings.Repeat("M", 8000))
	w.until("an answer", c.has("\r\n\r\n4"))
	_, id, _ := strings.Cut(c.got, "X-Request-ID: ")
	id, _, _ = strings.Cut(id, "\r\n")
	if r := find(id); r == nil || r.Method != strings.Repeat("M", keptMethod) || r.Path != "/closed/m" {
		t.Errorf("a long method: %+v", r)
	}
	if find("") != nil || find("none") != nil {
		t.Error("what was never asked is found")
	}
	var last string
	for range keptRefusals {
		last = ask("/closed/b")
	}
	if find(first) != nil || find(last) == nil {
		t.Error("not the last ones are kept")
	}
	if n := len(w.core.loops[0].turnedAway.ring); n != keptRefusals {
		t.Errorf("%d are kept", n)
	}
}
