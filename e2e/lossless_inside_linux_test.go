package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// One restart, in a network namespace of its own.

// restart is what the piece inside is asked to do.
type restart struct {
	Mode     string `json:"mode"`
	Driver   string `json:"driver"`
	Defaults bool   `json:"defaults"` // the settings that nobody changed
	Out      string `json:"out"`      // where the outcome goes
}

// restarted is what it tells.
type restarted struct {
	Done     map[string]int `json:"done"`    // exchanges and tunnels, by class
	Refused  int            `json:"refused"` // dials
	Lost     []string       `json:"lost"`
	Wrong    []string       `json:"wrong"`
	Exit     int            `json:"exit"`
	Problems []string       `json:"problems"` // what a receipt or the kernel says that it must not
	LameDuck time.Duration  `json:"lame_duck"`
	EndedBy  string         `json:"ended_by"`
	Drain    time.Duration  `json:"drain"`
	Cut      int            `json:"cut"`
	Unproven int            `json:"unproven"`  // listeners
	OldPorts int            `json:"old_ports"` // dials that met their port in TIME_WAIT
	Dials    int64          `json:"dials"`     // of the balancer
	Slow     int64          `json:"slow"`      // of these, over 100 ms
	Slowest  time.Duration  `json:"slowest"`
	Kernel   kernelCounters `json:"kernel"` // of the whole restart, read by the test
}

func (o *restarted) problem(format string, args ...any) {
	o.Problems = append(o.Problems, fmt.Sprintf(format, args...))
}

// losslessModes are the ways to restart. Each runs a load on web and raw around the restart.
var losslessModes = map[string]func(t *testing.T, r restart, o *restarted){
	"stop with no successor":                        stopAlone,
	"stop behind a balancer that honours readiness": stopBehindBalancer,
	"upgrade in place":                              upgradeInPlace,
}

func TestNothingAtAll(*testing.T) {}

func TestLosslessInside(t *testing.T) {
	work := os.Getenv(insideEnv)
	if work == "" {
		t.Skip("a piece of TestLossless")
	}
	var r restart
	if err := json.Unmarshal([]byte(work), &r); err != nil {
		t.Fatal(err)
	}
	if err := loopbackUp(); err != nil {
		t.Fatal(err)
	}
	o := restarted{Done: map[string]int{}}
	if r.Mode == modeCheat {
		stopCheat(t, &o)
	} else {
		losslessModes[r.Mode](t, r, &o)
	}
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	write(t, r.Out, string(text))
}

// instanceSetup is the proxy that is restarted: dual-stack, for everybody.
func instanceSetup(up *upstream, r restart) setup {
	c := setup{web: "[::]:0", raw: "[::]:0", env: []string{"SLUICE_ENGINE_DRIVER=" + r.Driver},
		policy: fmt.Sprintf(`clusters: {app: {endpoints: [%q]}, echo: {endpoints: [%q]}}
routes: [{name: app, cluster: app, policy: [{allow: {and: [{accept: true}]}}]}]
tcp_routes: [{listener: raw, cluster: echo, policy: [{allow: {and: [{accept: true}]}}]}]
`, up.web, up.raw)}
	if r.Defaults {
		c.lameDuck, c.drain = "default", "default"
	}
	return c
}

// fleet is the load of all classes.
type fleet struct {
	ledgers map[string]*ledger
	quit    chan struct{}
	waits   []func()
}

// embark starts every client: of each class every other one comes by IPv6.
func embark(web, raw string) *fleet {
	f := &fleet{ledgers: map[string]*ledger{}, quit: make(chan struct{})}
	for _, c := range classes() {
		l := newLedger()
		f.ledgers[c.name] = l
		addr := web
		if c.raw {
			addr = raw
		}
		for family, host := range []string{"127.0.0.1", "::1"} {
			one := c.one
			n := (c.n + 1 - family) / 2
			f.waits = append(f.waits, clients(n, on(host, addr), l, f.quit, func(l *ledger, addr string, quit <-chan struct{}, client int) {
				one(l, addr, quit, 2*client+family)
			}))
		}
	}
	return f
}

// on is an address with another host.
func on(host, addr string) string {
	_, port, _ := net.SplitHostPort(addr)
	return net.JoinHostPort(host, port)
}

// warm waits until every class has completed that much more than it had.
func (f *fleet) warm(t *testing.T, more int) {
	t.Helper()
	for name, l := range f.ledgers {
		had := l.total()
		eventually(t, fmt.Sprintf("%d more of %s", more, name), func() bool { return l.total() >= had+more || l.losses() > 0 })
	}
}

// join ends the load and tells what became of it.
func (f *fleet) join(o *restarted) {
	close(f.quit)
	for _, wait := range f.waits {
		wait()
	}
	for name, l := range f.ledgers {
		o.Done[name] = l.done
		o.Refused += l.refused
		for _, lost := range l.lost {
			o.Lost = append(o.Lost, name+": "+lost)
		}
		for _, wrong := range l.wrong {
			o.Wrong = append(o.Wrong, name+": "+wrong)
		}
	}
}

func stopAlone(t *testing.T, r restart, o *restarted) {
	up := newUpstream(t)
	s := serve(t, up, instanceSetup(up, r))
	before, wire := readKernel(t), watchResets(t, s.web, s.raw, s.probes)
	f := embark(s.web, s.raw)
	f.warm(t, 3)
	s.stop(t, o)
	f.join(o)
	wire.finish()
	o.Kernel = readKernel(t).since(before)
	o.judgeKernel(wire)
}

// modeCheat is a stop that loses.
const modeCheat = "cheat"

func stopCheat(t *testing.T, o *restarted) {
	p := launch(t, nil, built.cheat, "shed")
	web := p.listening(t, "listener", "web")
	before := readKernel(t)
	l, quit := newLedger(), make(chan struct{})
	wait := clients(16, web, l, quit, func(l *ledger, addr string, quit <-chan struct{}, _ int) {
		exchanges(l, addr, quit, get("/each"), "GET /each by ", true)
	})
	l.warm(t, 500)
	p.signal(t, syscall.SIGTERM)
	p.exit(t, patience)
	close(quit)
	wait()
	o.Done["keep-alive"], o.Lost, o.Refused = l.done, l.lost, l.refused
	o.Kernel = readKernel(t).since(before)
}

func stopBehindBalancer(t *testing.T, r restart, o *restarted) {
	up := newUpstream(t)
	one, other := serve(t, up, instanceSetup(up, r)), serve(t, up, instanceSetup(up, r))
	before := readKernel(t)
	b := newBalancer(t, 10*time.Millisecond, one.instance(), other.instance())
	web := b.open(t, "[::]:0", func(in *instance) string { return in.web })
	raw := b.open(t, "[::]:0", func(in *instance) string { return in.raw })
	wire := watchResets(t, web, raw, one.web, one.raw, one.probes, other.web, other.raw, other.probes, up.web, up.raw)
	f := embark(web, raw)
	f.warm(t, 3)
	one.stop(t, o)
	f.warm(t, 3)
	f.join(o)
	b.close()
	o.Dials, o.Slow, o.Slowest = b.dials.Load(), b.slow.Load(), time.Duration(b.slowest.Load())
	o.Refused += int(b.refused.Load())
	wire.finish()
	o.Kernel = readKernel(t).since(before)
	if o.Refused != 0 {
		o.problem("%d dials refused, want none", o.Refused)
	}
	o.judgeKernel(wire)
}

func upgradeInPlace(t *testing.T, r restart, o *restarted) {
	up := newUpstream(t)
	c := instanceSetup(up, r)
	if r.Defaults {
		c.extra = "# nothing else"
	}
	h := serveHouse(t, up, c)
	before, wire := readKernel(t), watchResets(t, h.web, h.raw, h.probes, up.web, up.raw)
	f := embark(h.web, h.raw)
	f.warm(t, 3)
	if out, code := h.upgrade(t); code != 0 {
		o.problem("upgrade: exit %d: %s", code, out)
	}
	// The old generation is gone when its receipt is there, long before the line of processes ends.
	for limit := time.Now().Add(3 * patience); h.find(msg("receipt")) == nil; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal("the old generation is still there")
		}
	}
	if _, generation := h.current(t); generation != 2 {
		o.problem("generation %d serves", generation)
	}
	f.warm(t, 3)
	f.join(o)
	wire.finish()
	o.Kernel = readKernel(t).since(before)
	o.judgeReceipt(h.receipts(t)[0])
	if o.Refused != 0 {
		o.problem("%d dials refused, want none", o.Refused)
	}
	o.judgeKernel(wire)
	h.stop(t)
}

func (s *sluice) instance() *instance {
	return &instance{web: on("127.0.0.1", s.web), raw: on("::1", s.raw), probes: s.probes}
}

// stop ends an instance by SIGTERM and reads its receipt.
func (s *sluice) stop(t *testing.T, o *restarted) {
	t.Helper()
	s.signal(t, syscall.SIGTERM)
	if o.Exit = s.exit(t, 3*patience); o.Exit != 0 {
		o.problem("exit code %d: %s", o.Exit, s.tail(8))
	}
	o.judgeReceipt(s.receipt(t))
}

// judgeReceipt reads what a receipt says, and holds against it what it must not.
func (o *restarted) judgeReceipt(r receipt) {
	for _, p := range r.Phases {
		switch p.Name {
		case "lame_duck":
			o.LameDuck, o.EndedBy = p.Ended.Sub(p.Began), p.EndedBy
		case "drain":
			o.Drain = p.Ended.Sub(p.Began)
		}
	}
	o.Cut = r.CutTotal + r.StuckTotal
	if o.Cut > 0 || r.Exchanges.Interrupted > 0 || r.BytesUnsent > 0 || r.ActualLoss > 0 {
		o.problem("receipt: %d cut or stuck, %d interrupted, %d bytes unsent, %d lost by idle closes", o.Cut, r.Exchanges.Interrupted, r.BytesUnsent, r.ActualLoss)
	}
	for _, l := range r.Listeners {
		if !l.Proven {
			o.Unproven++
		}
		if l.Residue > 0 {
			o.problem("listener %s closed on %d that were queued: %s", l.Name, l.Residue, l.Reason)
		}
	}
	switch k := r.Kernel; {
	case k == nil:
		o.problem("the receipt has no witness")
	case !k.Own:
		o.problem("the receipt does not see that its network namespace is its own")
	case k.AbortOnClose+k.AbortOnData+k.ListenOverflows+k.SyncookiesSent > 0:
		o.problem("the receipt's witness: %+v", *k)
	}
}

// judgeKernel: every dial that was refused is one reset, and nothing else is; no connection
// was aborted by anybody, and no queue overflowed.
//
// A dial whose port is still in TIME_WAIT at a door that has closed costs one reset more: the
// old connection answers its SYN, the client resets that, and dials on (RFC 9293 3.10.7.3).
func (o *restarted) judgeKernel(wire *resets) {
	o.OldPorts = wire.old
	if o.Kernel.OutRsts != o.Refused+wire.old || wire.refused != o.Refused || len(wire.others) > 0 {
		o.problem("%d dials refused; the kernel sent %d resets; on the wire %d answered a SYN, %d were of ports in TIME_WAIT, others: %q",
			o.Refused, o.Kernel.OutRsts, wire.refused, wire.old, wire.others)
	}
	if k := o.Kernel; k.AbortOnClose != 0 || k.AbortOnData != 0 || k.ListenOverflows != 0 || k.SyncookiesSent != 0 {
		o.problem("the kernel counted %+v", k)
	}
}

// modeNames are the modes in the order of the report.
func modeNames() []string {
	var names []string
	for name := range losslessModes {
		if only := os.Getenv("E2E_LOSSLESS_MODE"); strings.Contains(name, only) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
