package proxy

import (
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/proxy/h2"
)

// Who needs room closes the idle upstream connection that has waited longest, and one only.
func TestUpH2IdleGivesWay(t *testing.T) {
	w := h2Walk(t, Config{})
	w.openH2()
	var held []func()
	all := w.originH2("up:1", h2.Config{MaxStreams: 1}, func(o *h2origin, q *h2request) {
		held = append(held, func() { o.answer(q, "hi"); o.flush() })
	})
	p := w.dialH2("web")
	for i := range 3 {
		p.call("GET", "/", true)
		w.until("it has come", func() bool { return len(held) == i+1 })
	}
	l := w.core.loops[0]
	if l.spareOne() {
		t.Fatal("a connection gave way on which a request runs")
	}
	for _, i := range []int{1, 0, 2} {
		held[i]()
		w.sleep(time.Second)
	}
	if !l.spareOne() {
		t.Fatal("none gave way")
	}
	w.sleep(time.Second)
	for i, o := range *all {
		if gone := o.eof; gone != (i == 1) {
			t.Errorf("connection %d: gone %v", i, gone)
		}
	}
	if n := l.closeIdleOrigins(func(*upH2) bool { return true }, 10); n != 2 {
		t.Errorf("%d more gave way, want 2", n)
	}
	p.Close()
	w.retired()
}
