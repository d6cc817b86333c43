package proxy

import (
	"hash/fnv"
	"time"

	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/proxy/engine"
	"github.com/sluiceproxy/sluice/proxy/upstream"
)

// Active health checks. Each endpoint of a cluster that wants them is probed by one loop,
// with connections that are neither of the cluster's pool nor of its limit, and that no
// drain waits for.
//
//	waiting ──due──▶ connecting ──▶ asking ──▶ waiting
//	   │                  │            │
//	   └──────────────────┴────────────┴──▶ stopped    its endpoint left, or the process does

// checkNote says that a checker is due.
type checkNote struct{ ck *checker }

// checker probes one endpoint, again and again. Owned by its loop.
type checker struct {
	l       *loop
	ep      *upstream.Endpoint
	row     int  // answers in a row that speak against what the endpoint is taken for
	stopped bool // it left loop.checkers; a note that comes now is too late
	conn    *checkConn
}

// checkConn is the role of the connection of one probe.
type checkConn struct {
	half
	ck    *checker
	in    []byte
	ended bool
}

// mine reports whether this loop probes ep. It is the same for as long as loops live.
func (l *loop) mine(ep *upstream.Endpoint) bool {
	h := fnv.New32a()
	h.Write([]byte(ep.Cluster().Name()))
	h.Write([]byte(ep.Addr))
	l.mu.Lock()
	n := len(l.loops)
	l.mu.Unlock()
	return int(h.Sum32()%uint32(n)) == l.sh.Index()
}

// reconcile begins and ends checkers, after a change of policy.
func (l *loop) reconcile() {
	old := l.checkers
	l.checkers = nil
	if l.tracker.State() != drain.Drained {
		for _, c := range l.upstreams.Clusters() {
			if c.Config().Check.Interval <= 0 {
				continue
			}
			for _, ep := range c.Endpoints() {
				if l.mine(ep) {
					l.checkers = append(l.checkers, l.checkerOf(ep, old))
				}
			}
		}
	}
	kept := make(map[*checker]bool, len(l.checkers))
	for _, ck := range l.checkers {
		kept[ck] = true
	}
	for _, ck := range old {
		if !kept[ck] {
			ck.stop()
		}
	}
}

// checkerOf is the one that there is, or a new one that begins soon.
func (l *loop) checkerOf(ep *upstream.Endpoint, old []*checker) *checker {
	for _, ck := range old {
		if ck.ep == ep {
			return ck
		}
	}
	ck := &checker{l: l, ep: ep}
	ck.after(l.jitter(min(time.Second, ck.cfg().Interval)))
	return ck
}

// jitter is a random time below d.
func (l *loop) jitter(d time.Duration) time.Duration {
	return time.Duration(l.rnd.Uint64() % uint64(max(d, 1)))
}

func (ck *checker) cfg() *upstream.Check { return &ck.ep.Cluster().Config().Check }

func (ck *checker) after(d time.Duration) {
	post, shard := ck.l.post, ck.l.sh.Index()
	ck.l.cfg.AfterFunc(d, func() { post(shard, checkNote{ck}) })
}

func (ck *checker) stop() {
	ck.stopped = true
	if u := ck.conn; u != nil {
		ck.conn = nil
		u.end()
	}
}

// needless reports whether nobody will ask: a process that drains only has to know when an
// endpoint that is out comes back, and one that has drained nothing at all.
func (ck *checker) needless() bool {
	switch ck.l.tracker.State() {
	case drain.Draining:
		return ck.ep.State() != upstream.Unhealthy
	case drain.Drained:
		return true
	case drain.Shut, drain.Open, drain.Leaving:
	}
	return false
}

// quit ends the checkers that are needless.
func (l *loop) quit() {
	kept := l.checkers[:0]
	for _, ck := range l.checkers {
		if ck.needless() {
			ck.stop()
		} else {
			kept = append(kept, ck)
		}
	}
	l.checkers = kept
}

// due begins a probe.
func (ck *checker) due() {
	if ck.stopped {
		return
	}
	if ck.needless() {
		ck.l.quit()
		return
	}
	l := ck.l
	id := l.sh.Dial(ck.ep.Addr, ck.cfg().Timeout)
	ck.conn = &checkConn{half: half{l: l, id: id}, ck: ck}
	l.setRole(id, ck.conn)
}

// judge takes the result of a probe, and plans the next.
func (ck *checker) judge(well bool) {
	if ck.conn = nil; ck.stopped {
		return
	}
	cfg, out := ck.cfg(), ck.ep.State() == upstream.Unhealthy
	ck.ep.Checks.Add(1)
	if !well {
		ck.ep.CheckErrs.Add(1)
	}
	need := cfg.Unhealthy
	if out {
		need = cfg.Healthy
	}
	if well != out {
		ck.row = 0
	} else if ck.row++; ck.row >= need {
		ck.row = 0
		ck.ep.SetUnhealthy(!well || ck.l.cfg.Faults.StayOut)
	}
	ck.after(cfg.Interval*9/10 + ck.l.jitter(cfg.Interval/5))
}

func (u *checkConn) dialed(err error) {
	if u.ended {
		return
	}
	cfg := u.ck.ep.Cluster().Config()
	if err != nil {
		u.ended = true
		u.ck.judge(false)
		return
	}
	b := u.l.out[:0]
	if cfg.ProxyProtocol > 0 {
		b = appendProxyHeader(b, cfg.ProxyProtocol, engine.Peer{}) // of no client
	}
	switch {
	case u.secures(b):
	case cfg.Check.Path == "":
		u.send(b)
		u.verdict(true)
	default:
		u.ask(b)
	}
}

// ask sends the request of the probe behind what is in b.
func (u *checkConn) ask(b []byte) {
	cfg := u.ck.ep.Cluster().Config()
	u.arm(engine.TimerState, cfg.Check.Timeout)
	b = append(append(append(b, "GET "...), cfg.Check.Path...), " HTTP/1.1\r\nHost: "...)
	b = append(append(b, u.ck.ep.Addr...), "\r\nUser-Agent: sluice-health-check\r\nConnection: close\r\n\r\n"...)
	u.send(b)
	u.l.out = b
}

// received looks for a head: 200 to 399 is health. The body does not matter.
func (u *checkConn) received(b []byte) {
	if u.ended {
		return
	}
	u.in = append(u.in, b...)
	for at := 0; ; {
		n, err := u.l.resp.Parse(u.in[at:], false, u.l.cfg.Limits)
		switch {
		case err != nil:
			u.verdict(false)
		case n > 0 && u.l.resp.Status < 200:
			if at += n; at < maxCheckAnswer {
				continue
			}
			u.verdict(false)
		case n > 0:
			u.verdict(u.l.resp.Status < 400)
		case len(u.in) > maxCheckAnswer:
			u.verdict(false)
		}
		return
	}
}

// maxCheckAnswer bounds what is kept of an answer to a probe.
const maxCheckAnswer = 64 << 10

func (u *checkConn) verdict(well bool) {
	if u.ended {
		return
	}
	u.end()
	u.ck.judge(well)
}

// end closes in good order: a server that counts resets must not see one for each probe.
func (u *checkConn) end() {
	u.ended = true
	u.l.sh.Close(u.id, 0)
}

func (u *checkConn) eof() { u.verdict(false) }

func (u *checkConn) fired(engine.Timer) { u.verdict(false) }

func (u *checkConn) closed(engine.End) {
	if !u.ended {
		u.ended = true
		u.ck.judge(false)
	}
}

func (u *checkConn) sent()             { u.flushed() }
func (u *checkConn) moved(int64, bool) {}
func (u *checkConn) evict(drain.Cause) {}
