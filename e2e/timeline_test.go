package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// timeline is what observers outside saw of one stop.
type timeline struct {
	signal time.Time // SIGTERM was sent
	ended  time.Time // the last handle came back (the receipt), or the process exited
	probes []probed  // in order
	dials  []dialed  // in order
	spans  []span    // of the exchanges of the clients
	lost   int
}

// probed is one look at /readyz on the prober's own keep-alive connection.
type probed struct {
	began, ended time.Time
	status       int
	err          error
}

// dialed is one knock at the traffic door.
type dialed struct {
	began, ended time.Time
	refused      bool
}

// Bounds of judge. grace is what a busy machine may take between an event and its
// observation; no judgement is won by using it up: the cheats miss by far more.
const (
	grace     = 150 * time.Millisecond
	prompt    = 3 * time.Second // an exchange that takes longer was stalled
	probeGap  = 2 * time.Second // the longest silence of a prober that asks every 5 ms
	probePace = 5 * time.Millisecond
)

// judge says what is wrong with a stop whose door was to stay open for open after the
// signal. It is the whole of G2's order, as seen from outside; nil means nothing.
func judge(o timeline, open time.Duration) (faults []error) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	since := func(at time.Time) time.Duration { return at.Sub(o.signal).Round(time.Millisecond) }
	refusedAt := o.ended
	for _, d := range o.dials {
		if d.refused && d.ended.After(o.signal) {
			refusedAt = d.began
			break
		}
	}
	// A dial that was shed began when it was not answered: that is when the door closed.
	if got := refusedAt.Sub(o.signal); got < open {
		fault("the door closed %v after the signal, want at least %v", since(refusedAt), open)
	}
	var flipped time.Time
	for _, p := range o.probes {
		switch {
		case p.err != nil && p.began.Before(o.ended.Add(-grace)):
			fault("a probe failed %v after the signal, %v before the end: %v", since(p.began), o.ended.Sub(p.began), p.err)
		case p.err != nil:
		case p.status == http.StatusServiceUnavailable && flipped.IsZero():
			flipped = p.ended
		case p.status == http.StatusOK && !flipped.IsZero():
			fault("readiness came back %v after the signal", since(p.began))
		}
		if p.began.After(o.signal) && p.ended.Sub(p.began) > probeGap {
			fault("a probe took %v", p.ended.Sub(p.began))
		}
	}
	if flipped.IsZero() || flipped.After(refusedAt) {
		fault("/readyz did not say 503 before the first refused dial (at %v, refused at %v)", since(flipped), since(refusedAt))
	}
	served := 0
	for _, s := range o.spans {
		// From the second half on: who stalls may still be quick right after the signal.
		// The door may stay open for longer than open, and a busy machine needs that.
		if s.began.After(o.signal.Add(open/2)) && s.began.Before(refusedAt) {
			served++
		}
		if s.ended.After(o.signal) && s.ended.Sub(s.began) > prompt {
			fault("an exchange was stalled for %v", s.ended.Sub(s.began))
		}
	}
	if served == 0 {
		fault("no exchange that began between %v after the signal and the closing of the door (%v) was served", open/2, since(refusedAt))
	}
	if o.lost > 0 {
		fault("%d lost", o.lost)
	}
	return faults
}

// observer watches a process from outside until it is told to stop.
type observer struct {
	quit    chan struct{} // closed by finish
	running sync.WaitGroup
	probes  []probed // owned by prober until running is joined
	dials   []dialed // owned by knocker until running is joined
}

// observe begins to watch and returns after the first probe was answered.
func observe(t *testing.T, probes, web string) *observer {
	t.Helper()
	o := &observer{quit: make(chan struct{})}
	c, err := net.DialTimeout("tcp", probes, patience)
	if err != nil {
		t.Fatal(err)
	}
	p := &prober{conn: c, in: bufio.NewReader(c)}
	if first := p.ask(); first.status != http.StatusOK {
		t.Fatalf("first probe: %d %v", first.status, first.err)
	}
	o.running.Go(func() { o.probe(p) })   // ends with quit, or the first failed probe
	o.running.Go(func() { o.knock(web) }) // ends with quit
	t.Cleanup(o.finish)
	return o
}

// finish joins the observers. It may be called again.
func (o *observer) finish() {
	select {
	case <-o.quit:
	default:
		close(o.quit)
	}
	o.running.Wait()
}

func (o *observer) probe(p *prober) {
	defer p.conn.Close()
	tick := time.NewTicker(probePace)
	defer tick.Stop()
	for {
		seen := p.ask()
		o.probes = append(o.probes, seen)
		if seen.err != nil {
			return // the connection is gone, and so, says judge, should the process be
		}
		select {
		case <-tick.C:
		case <-o.quit:
			return
		}
	}
}

func (o *observer) knock(web string) {
	tick := time.NewTicker(probePace)
	defer tick.Stop()
	for {
		d := dialed{began: time.Now()}
		w, err := connect(web, 4*time.Second)
		d.ended = time.Now()
		d.refused = errors.Is(err, errRefused)
		if w != nil {
			_ = w.Close()
		}
		o.dials = append(o.dials, d)
		if d.refused {
			return // one is enough: the door does not open again
		}
		select {
		case <-tick.C:
		case <-o.quit:
			return
		}
	}
}

// prober asks for readiness on a connection of its own.
type prober struct {
	conn net.Conn
	in   *bufio.Reader
}

func (p *prober) ask() probed {
	seen := probed{began: time.Now()}
	_ = p.conn.SetDeadline(seen.began.Add(patience))
	if _, seen.err = io.WriteString(p.conn, "GET /readyz HTTP/1.1\r\nHost: probe\r\n\r\n"); seen.err == nil {
		var resp *http.Response
		if resp, seen.err = http.ReadResponse(p.in, nil); seen.err == nil {
			seen.status = resp.StatusCode
			_, seen.err = io.Copy(io.Discard, resp.Body)
		}
	}
	seen.ended = time.Now()
	return seen
}
