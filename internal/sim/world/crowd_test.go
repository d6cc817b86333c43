package world_test

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/authz/policy"
	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/internal/sim"
	"github.com/sluiceproxy/sluice/proxy"
	"github.com/sluiceproxy/sluice/proxy/engine"
)

// multitude is a proxy with very many clients, each of which asks now and then on a
// connection that it keeps, and its drain: the cores, the tracker and the driver of the
// simulation, without a script.
type multitude struct {
	net     *sim.Net
	tracker *drain.Tracker
	core    *proxy.Core
	driver  *sim.Driver

	handles  int // downstream connections
	most     int
	answered int
	lost     int
	stopping bool
	steps    int       // of the tracker while it drained
	lastAt   time.Time // when the last handle was gone
	lastStep int       // steps until then
}

// counted counts handles.
type counted struct {
	engine.Handler
	m    *multitude
	mine map[engine.ConnID]bool
}

// Accepted implements engine.Handler.
func (c counted) Accepted(id engine.ConnID, listener int, peer engine.Peer) {
	c.mine[id] = true
	c.m.handles++
	c.m.most = max(c.m.most, c.m.handles)
	c.Handler.Accepted(id, listener, peer)
}

// Closed implements engine.Handler.
func (c counted) Closed(id engine.ConnID, end engine.End) {
	c.Handler.Closed(id, end)
	if c.mine[id] {
		delete(c.mine, id)
		if c.m.handles--; c.m.handles == 0 && c.m.stopping {
			c.m.lastAt, c.m.lastStep = c.m.net.Now(), c.m.steps
		}
	}
}

func newMultitude(t *testing.T) *multitude {
	n := sim.New(1)
	n.MinDelay, n.MaxDelay = time.Microsecond, 60*time.Microsecond // the kernel hands over one at a time
	m := &multitude{net: n, tracker: drain.New(drain.Config{Now: n.Now, AfterFunc: n.After})}
	cfg := proxy.Config{Seed: 1, Linger: time.Second, AfterFunc: n.After, Listeners: []proxy.ListenerConfig{{Name: "web"}}, MaxConnections: 1 << 20}
	m.core = proxy.NewCore(cfg, m.tracker, func(shard int, v any) { m.driver.Post(shard, v) })
	m.driver = n.NewDriver(2, func(sh engine.Shard) engine.Handler {
		return counted{m.core.Handler(sh), m, map[engine.ConnID]bool{}}
	})
	doc, err := policy.Parse("p.yaml", []byte(`
clusters: {app: {endpoints: ["up:1"]}}
routes: [{name: r, path: {prefix: /}, cluster: app, policy: [{allow: {and: [{accept: true}]}}]}]
`))
	if err == nil {
		err = m.core.Apply(context.Background(), "1", doc)
	}
	if err != nil {
		t.Fatal(err)
	}
	n.Listen("up:1").Accept(func(s *sim.Sock) {
		s.SetEvents(sim.Events{
			Data:  func(b []byte) { s.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")) },
			EOF:   func() { s.CloseWrite(); s.Close() },
			Reset: func() {},
		})
	})
	return m
}

// client asks once when it has come, and again after some seconds, until it is told to leave.
func (m *multitude) client() {
	var s *sim.Sock
	var got []byte
	asked := false
	ask := func() {
		asked = true
		s.Write([]byte("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n"))
	}
	end := func() {
		if asked {
			m.lost++
		}
		asked = false
		s.Close()
	}
	gone := false
	s = m.net.Dial("web", sim.Events{
		Connected: func(err error) {
			if err != nil {
				m.lost++
				return
			}
			ask()
		},
		Data: func(b []byte) {
			if got = append(got, b...); !bytes.HasSuffix(got, []byte("\r\n\r\nok")) {
				return // the rest comes later
			}
			m.answered++
			asked = false
			gone = bytes.Contains(got, []byte("Connection: close"))
			if got = got[:0]; gone {
				s.Close()
				return
			}
			m.net.After(m.net.Between(time.Second, 20*time.Second), func() {
				if !gone {
					ask()
				}
			})
		},
		EOF:   func() { gone = true; end() },
		Reset: func() { gone = true; end() },
	})
}

func (m *multitude) step() {
	m.steps++
	next, done := m.tracker.Step(m.net.Now())
	if !done && !next.IsZero() {
		m.net.After(max(0, next.Sub(m.net.Now())), m.step)
	}
}

// drained reports whether the tracker is at rest.
func (m *multitude) drained() bool {
	select {
	case <-m.tracker.Drained():
		return true
	default:
		return false
	}
}

// live lets n clients come within some seconds, and drains.
func (m *multitude) live(t *testing.T, n int) {
	t.Helper()
	if err := m.tracker.Open(); err != nil {
		t.Fatal(err)
	}
	m.core.Admitted()
	ln := m.net.Listen("web")
	m.driver.Accept(0, ln)
	const come = 10 * time.Second
	for range n {
		m.net.After(m.net.Between(0, come), m.client)
	}
	m.net.After(come+2*time.Second, func() {
		m.stopping = true
		m.tracker.BeginLeave(m.net.Now())
		m.tracker.Notice()
		m.net.After(2*time.Second, func() {
			m.driver.Unlisten(ln, func(engine.ListenerEnd) {
				m.tracker.BeginDrain(m.net.Now(), m.net.Now().Add(drain.DefaultTimeout))
				m.core.Shut()
				m.step()
			})
		})
	})
	m.net.Run(time.Minute, m.drained)
}

// From the last of 100,000 handles to rest it takes no step and no time, the drain takes as
// many steps as its times have turns, and what happens altogether grows as the crowd does.
func TestAHundredThousandHandles(t *testing.T) {
	sizes := []int{crowdSize / 10, crowdSize}
	if testing.Short() {
		sizes = []int{1000, 10_000}
	}
	perHandle := map[int]float64{}
	for _, n := range sizes {
		m := newMultitude(t)
		began := time.Now()
		m.live(t, n)
		perHandle[n] = float64(m.net.Events()) / float64(n)
		if !m.drained() || m.handles != 0 || m.most != n {
			t.Fatalf("%d handles, at most %d, are left of %d; drained: %v", m.handles, m.most, n, m.drained())
		}
		if wait, steps := m.net.Now().Sub(m.lastAt), m.steps-m.lastStep; wait > 0 || steps > 0 {
			t.Errorf("%d handles: from the last one to rest %v and %d steps", n, wait, steps)
		}
		if most := int(drain.DefaultTimeout/(10*time.Millisecond)) + 10; m.steps > most {
			t.Errorf("%d handles: %d steps, want at most %d", n, m.steps, most)
		}
		r := m.tracker.Receipt()
		if err := r.Audit(); err != nil || r.CutTotal+r.StuckTotal > 0 || m.lost > int(r.ActualLoss) {
			t.Errorf("%d handles: %v, %v; clients lost %d", n, r, err, m.lost)
		}
		var mem runtime.MemStats
		runtime.ReadMemStats(&mem)
		t.Logf("%d handles: %d requests answered, %.1f events each, %d steps of the drain, %v, %d MiB; %v",
			n, m.answered, perHandle[n], m.steps, time.Since(began).Round(time.Millisecond), mem.HeapAlloc>>20, r)
		m.driver.Close()
	}
	if few, many := perHandle[sizes[0]], perHandle[sizes[1]]; many > 1.5*few {
		t.Errorf("%s: more than the crowd grew by", fmt.Sprintf("events for each handle: %.1f among %d, %.1f among %d", few, sizes[0], many, sizes[1]))
	}
}
