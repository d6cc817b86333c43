package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// h2Attack is a client that costs more than it gives.
type h2Attack struct {
	name    string
	reason  string // by which its connections are ended; empty: they may stay, and cost nothing
	conns   int
	rounds  int // after which it gives up
	visits  int // that the upstream may see of one connection
	prepare func(f *framer) error
	round   func(f *framer, id uint32) error
}

// attackRSS is what the process may have in memory under any attack, in bytes: the formula's base, and half of it again
// for what 32 connections may hold.
const attackRSS = 96 << 20

func h2Attacks() []h2Attack {
	get := func(path string) [][2]string {
		return [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "app.example.com"}, {":path", path}}
	}
	post := [][2]string{{":method", "POST"}, {":scheme", "http"}, {":authority", "app.example.com"}, {":path", "/attack"}}
	var bomb bytes.Buffer // a large entry of the table, said a thousand times
	e := hpack.NewEncoder(&bomb)
	for _, p := range append(get("/attack"), [2]string{"x-large", strings.Repeat("x", 3900)}) {
		_ = e.WriteField(hpack.HeaderField{Name: p[0], Value: p[1]})
	}
	bomb.Write(bytes.Repeat([]byte{0x80 | 62}, 12_000))
	crumbs := get("/attack")
	for range 4000 {
		crumbs = append(crumbs, [2]string{"cookie", ""})
	}
	return []h2Attack{
		{name: "rapid reset", reason: "flood_resets", conns: 8, rounds: 20_000, visits: 400, round: func(f *framer, id uint32) error {
			if err := f.head(id, get("/attack"), true); err != nil {
				return err
			}
			return f.WriteRSTStream(id, http2.ErrCodeCancel)
		}},
		{name: "the server is made to reset", reason: "flood_resets", conns: 8, rounds: 20_000, visits: 400, round: func(f *framer, id uint32) error {
			if err := f.head(id, get("/attack"), true); err != nil {
				return err
			}
			return f.WriteWindowUpdate(id, 0)
		}},
		{name: "CONTINUATION without end", reason: "block", conns: 8, rounds: 20_000, prepare: func(f *framer) error {
			return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x82}})
		}, round: func(f *framer, _ uint32) error { return f.WriteContinuation(1, false, []byte{0x84}) }},
		{name: "PING", reason: "flood", conns: 8, rounds: 100_000, round: func(f *framer, _ uint32) error { return f.WritePing(false, [8]byte{1}) }},
		{name: "SETTINGS", reason: "flood", conns: 8, rounds: 100_000, round: func(f *framer, _ uint32) error { return f.WriteSettings() }},
		{name: "a byte of DATA at a time", reason: "flood_data", conns: 8, rounds: 100_000, visits: 1, prepare: func(f *framer) error {
			return f.head(1, post, false)
		}, round: func(f *framer, _ uint32) error { return f.WriteData(1, false, []byte("x")) }},
		{name: "a bomb of HPACK", conns: 32, rounds: 40, round: func(f *framer, id uint32) error {
			return f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: bomb.Bytes(), EndStream: true, EndHeaders: true})
		}},
		{name: "crumbs of cookies", conns: 32, rounds: 40, round: func(f *framer, id uint32) error { return f.head(id, crumbs, true) }},
		{name: "no windows", conns: 32, rounds: 100, visits: 128, prepare: func(f *framer) error {
			return f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
		}, round: func(f *framer, id uint32) error { return f.head(id, get("/attack/big"), true) }},
	}
}

// run attacks on one connection, until that is ended or the rounds are over.
func (a h2Attack) run(addr string) error {
	f, err := dialFrames(addr)
	if err != nil {
		return err
	}
	gone := make(chan struct{}) // closed when the proxy has ended the connection
	go func() {                 // ends with it; what is said is of no interest
		defer close(gone)
		for b := make([]byte, 4096); ; {
			if _, err := f.Conn.Read(b); err != nil {
				return
			}
		}
	}()
	defer func() { _ = f.Close(); <-gone }()
	if a.prepare != nil {
		if err := a.prepare(f); err != nil {
			return err
		}
	}
	for i := range a.rounds {
		select {
		case <-gone:
			return nil
		default:
		}
		if a.round(f, uint32(3+2*i)) != nil {
			break
		}
	}
	if a.reason == "" {
		return nil
	}
	select {
	case <-gone:
		return nil
	case <-time.After(5 * time.Second):
		return fmt.Errorf("after %d rounds the connection is open", a.rounds)
	}
}

// ground is where attacks are played.
type ground struct {
	name   string
	secure bool
	wait   time.Duration // of the upstream, before it answers an attacker
}

// h2Grounds are all of them. The common run plays each attack in the clear, and the one that costs an upstream most on all.
func h2Grounds(a h2Attack) []ground {
	all := []ground{{name: "in the clear"}, {name: "TLS", secure: true}, {name: "slow upstream", wait: 300 * time.Millisecond}}
	if heavy() || a.name == "rapid reset" {
		return all
	}
	return all[:1]
}

// TestH2Attacks: who attacks is cut off, counted and bounded; who does not, loses nothing.
func TestH2Attacks(t *testing.T) {
	for _, a := range h2Attacks() {
		for _, g := range h2Grounds(a) {
			t.Run(a.name+", "+g.name, func(t *testing.T) { a.play(t, g) })
		}
	}
}

// victim is a proxy that is attacked, and its upstream.
type victim struct {
	*sluice
	up   *upstream
	door string
	held atomic.Int64 // requests of attackers that are at the upstream
	most atomic.Int64
}

func newVictim(t *testing.T, g ground) *victim {
	t.Helper()
	v := &victim{up: newUpstream(t)}
	origin := newOrigin(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/attack") {
			n := v.held.Add(1)
			defer v.held.Add(-1)
			for most := v.most.Load(); n > most && !v.most.CompareAndSwap(most, n); most = v.most.Load() {
			}
			select {
			case <-time.After(g.wait): // the upstream's own time
			case <-r.Context().Done():
			}
		}
		if r.URL.Path == "/attack/big" {
			r.URL.Path = "/big"
		}
		v.up.handler().ServeHTTP(w, r)
	}))
	c, mark := setup{}, ""
	if g.secure {
		c, _ = secure(t, "")
		mark = overTLS
	}
	c.policy, c.env = policyFor(origin, origin, "v1"), append(c.env, "GOMEMLIMIT=64MiB")
	v.sluice = serve(t, v.up, c)
	v.door = mark + v.web
	return v
}

// charge has all attackers of one attack at it, and says when they have ended.
func (a h2Attack) charge(addr string) (over <-chan struct{}, faults <-chan error) {
	var attackers sync.WaitGroup
	said, ended := make(chan error, a.conns), make(chan struct{})
	for range a.conns {
		attackers.Go(func() { said <- a.run(addr) }) // ends when it is cut off, or has had enough
	}
	go func() { attackers.Wait(); close(said); close(ended) }() // ends with them
	return ended, said
}

func (a h2Attack) play(t *testing.T, g ground) {
	v := newVictim(t, g)
	l, quit := newLedger(), make(chan struct{})
	wait := clients(1, v.door, l, quit, h2Posts)
	over, faults := a.charge(v.door)
	peak := 0.0
	for done := false; !done; {
		select {
		case <-over:
			done = true
		case <-time.After(20 * time.Millisecond): // between two looks at a peak
		}
		rss, _ := v.metric(t, "process_resident_memory_bytes")
		peak = max(peak, rss)
	}
	l.warm(t, l.total()+20)
	close(quit)
	wait()
	for err := range faults {
		if err != nil {
			t.Error(err)
		}
	}
	if a.reason != "" {
		n, _ := v.metric(t, fmt.Sprintf("sluice_http2_connection_errors_total{reason=%q}", a.reason))
		// An attacker that reads too slowly may be ended for that instead.
		if all := v.sum(t, "sluice_http2_connection_errors_total"); n == 0 || all != float64(a.conns) {
			t.Errorf("%v connections were ended, %v of them by %q; want %d", all, n, a.reason, a.conns)
		}
	}
	seen := len(v.up.log("/attack")) + len(v.up.log("/big"))
	if seen > a.conns*a.visits {
		t.Errorf("the upstream saw %d requests, want %d at most", seen, a.conns*a.visits)
	}
	if most := v.most.Load(); most > int64(a.conns)*128 {
		t.Errorf("the upstream had %d requests of attackers at once, want %d at most", most, a.conns*128)
	}
	if peak == 0 || peak > attackRSS {
		t.Errorf("%.0f MiB in memory, want %d at most", peak/(1<<20), attackRSS>>20)
	}
	if len(l.lost)+len(l.wrong)+len(l.own) > 0 {
		t.Errorf("the bystander lost %q", l.lost)
	}
	t.Logf("bystander: %d requests; upstream: %d, %d at once; peak %.0f MiB", l.done, seen, v.most.Load(), peak/(1<<20))
}
