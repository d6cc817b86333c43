package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
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
	H2Posts  bool   `json:"h2_posts"` // bodies go to their upstream by HTTP/2
	Late     bool   `json:"late"`     // WebSockets are closed near the deadline, not when draining begins
	Times    int    `json:"times"`    // how often, one after the other in one namespace
	Out      string `json:"out"`      // where the outcome goes
}

// restarted is what it tells.
type restarted struct {
	Done     map[string]int  `json:"done"`    // exchanges and tunnels, by class
	Refused  int             `json:"refused"` // dials
	Lost     []string        `json:"lost"`
	Wrong    []string        `json:"wrong"`
	Own      int             `json:"own"`    // requests that a library failed by itself before it sent them
	Closes   map[int]int     `json:"closes"` // WebSockets that ended well, by code
	Exit     int             `json:"exit"`
	Problems []string        `json:"problems"`  // what a receipt or the kernel says that it must not
	LameDuck []time.Duration `json:"lame_duck"` // of each restart
	EndedBy  []string        `json:"ended_by"`
	Drain    []time.Duration `json:"drain"`
	Cut      int             `json:"cut"`
	Unproven int             `json:"unproven"` // listeners
	Left     int             `json:"left"`     // resets of clients that were gone, or of dials that met their port in TIME_WAIT
	Aborts   int             `json:"aborts"`   // of clients that closed before they had read all
	Idle     int             `json:"idle"`     // of proxies to upstreams, and back
	Behind   int             `json:"behind"`   // of doors, to clients that spoke when their connection was over
	Errored  int             `json:"errored"`  // connections, by the receipt
	Unsent   int64           `json:"unsent"`   // bytes that it says are not known to have arrived
	Failed   int             `json:"failed"`   // exchanges, the same
	Dials    int64           `json:"dials"`    // of the balancer
	Slow     int64           `json:"slow"`     // of these, over 100 ms
	Slowest  time.Duration   `json:"slowest"`
	Kernel   kernelCounters  `json:"kernel"` // of the whole restart, read by the test
	Stall    time.Duration   `json:"stall"`  // the longest of the machine
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
	o, machine, ended := restarted{Done: map[string]int{}}, watchStalls(), false
	defer func() { // of a test that failed, too
		if o.Stall = machine.finish(); !ended {
			o.problem("it did not come to its end")
		}
		text, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		write(t, r.Out, string(text))
	}()
	if r.Mode == modeCheat {
		stopCheat(t, &o)
	} else {
		losslessModes[r.Mode](t, r, &o)
	}
	ended = true
}

// instanceSetup is the proxy that is restarted: dual-stack, for everybody.
func instanceSetup(t *testing.T, up *backends, r restart) setup {
	t.Helper()
	certs := t.TempDir()
	edge().put(t, certs, "edge")
	c := setup{web: "[::]:0", raw: "[::]:0", env: []string{"SLUICE_ENGINE_DRIVER=" + r.Driver}, policy: up.policy(r),
		doors: fmt.Sprintf("- {name: veil, address: \"[::]:0\", tls: {dir: %q}}\n", certs)}
	switch {
	case r.Defaults:
		c.lameDuck, c.drain = "default", "default"
	default:
		// A client that rests for longer is idle for longer: one that speaks in the moment in which it is closed for that has
		// lost a request, which no server can help (ARCHITECTURE.md, what can still be lost). It is to be as rare as ever.
		// So is a balancer that is later than a lame duck is long.
		c.lameDuck = fmt.Sprintf("{min: %v, max: %v, quiet: 100ms, notice_after: 100ms}", grown(200*time.Millisecond), grown(400*time.Millisecond))
		c.drain = fmt.Sprintf("{timeout: 10s, idle_close: %v, flush: 1s}", grown(500*time.Millisecond))
		if r.Late {
			c.drain = strings.Replace(c.drain, "}", ", close_lead: 2500ms}", 1) // a client has a quarter of that to answer
		}
	}
	return c
}

// fleet is the load of all classes.
type fleet struct {
	ledgers map[string]*ledger
	up      *backends
	calls   callers
	proxies []*process
	quit    chan struct{}
	waits   []func()
}

// embark starts every client: of each class every other one comes by IPv6.
func embark(t *testing.T, up *backends, doors map[entrance]string, proxies ...*process) *fleet {
	t.Helper()
	f := &fleet{ledgers: map[string]*ledger{}, up: up, proxies: proxies, quit: make(chan struct{})}
	f.calls = embarkCallers(t, doors[toWeb], doors[toVeil])
	for _, c := range classes(up.sockets) {
		l := newLedger()
		l.pace = losslessPace()
		f.ledgers[c.name] = l
		mark := ""
		if c.to == toVeil {
			mark = overTLS
		}
		for family, host := range []string{"127.0.0.1", "::1"} {
			one := c.one
			n := (c.n + 1 - family) / 2
			f.waits = append(f.waits, clients(n, mark+on(host, doors[c.to]), l, f.quit, func(l *ledger, addr string, quit <-chan struct{}, client int) {
				one(l, addr, quit, 2*client+family)
			}))
		}
	}
	return f
}

// doors are the addresses of a proxy's listeners.
func (s *sluice) doors(t *testing.T) map[entrance]string {
	t.Helper()
	return map[entrance]string{toWeb: s.web, toRaw: s.raw, toVeil: s.listening(t, "listener", "veil")}
}

// on is an address with another host.
func on(host, addr string) string {
	_, port, _ := net.SplitHostPort(addr)
	return net.JoinHostPort(host, port)
}

// addresses are where somebody may dial it.
func (s *sluice) addresses(t *testing.T) []string {
	t.Helper()
	return slices.AppendSeq([]string{s.probes}, maps.Values(s.doors(t)))
}

// warm waits until every class has completed that much more than it had.
func (f *fleet) warm(t *testing.T, more int) {
	t.Helper()
	had := map[string]int{}
	for name, l := range f.ledgers {
		had[name] = l.total()
	}
	for name, l := range f.ledgers {
		// Longer than any client waits: what is stuck is lost by then, and says where.
		for limit := time.Now().Add(2 * patience); l.total() < had[name]+more && l.losses() == 0; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(limit) {
				f.dump(t)
				t.Fatalf("no %d more of %s within %v", more, name, 2*patience)
			}
		}
	}
	f.calls.more(t, more)
}

// dump has every proxy write its stacks to its log, which the test prints when it fails.
func (f *fleet) dump(t *testing.T) {
	t.Helper()
	for name, l := range f.ledgers {
		t.Logf("%s: %d done", name, l.total())
	}
	for _, p := range f.proxies {
		pids := p.pids()
		_ = syscall.Kill(pids[len(pids)-1], syscall.SIGQUIT) // the one that serves
		select {
		case <-p.exited:
		case <-time.After(patience / 4):
		}
	}
}

// join ends the load and tells what became of it.
func (f *fleet) join(t *testing.T, o *restarted) {
	t.Helper()
	close(f.quit)
	for _, wait := range f.waits {
		wait()
	}
	f.calls.join(t, o)
	o.Closes = f.up.sockets.closes
	for name, l := range f.ledgers {
		o.Done[name] += l.done
		o.Refused += l.refused
		o.Own += len(l.own)
		for _, id := range l.sentAfterAll(f.up.upstream) {
			o.problem("%s: its client says that it was not sent, and the upstream has it", id)
		}
		for _, lost := range l.lost {
			o.Lost = append(o.Lost, name+": "+lost)
		}
		for _, wrong := range l.wrong {
			o.Wrong = append(o.Wrong, name+": "+wrong)
		}
	}
}

func stopAlone(t *testing.T, r restart, o *restarted) {
	up := newBackends(t, 1001)
	before, wire := readKernel(t), watchResets(t, nil, up.addresses())
	for range r.Times {
		s := serve(t, up.upstream, instanceSetup(t, up, r))
		doors := s.doors(t)
		wire.know(t, proxys, s.addresses(t))
		f := embark(t, up, doors, s.process)
		f.warm(t, 3)
		s.stop(t, o)
		f.join(t, o)
	}
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
	up := newBackends(t, 1001)
	one, other := serve(t, up.upstream, instanceSetup(t, up, r)), serve(t, up.upstream, instanceSetup(t, up, r))
	before := readKernel(t)
	b := newBalancer(t, 10*time.Millisecond, one.instance(t), other.instance(t))
	doors := map[entrance]string{
		toWeb:  b.open(t, "[::]:0", func(in *instance) string { return in.web }),
		toRaw:  b.open(t, "[::]:0", func(in *instance) string { return in.raw }),
		toVeil: b.open(t, "[::]:0", func(in *instance) string { return in.veil }),
	}
	known := slices.AppendSeq(slices.Concat(one.addresses(t), other.addresses(t)), maps.Values(doors))
	wire := watchResets(t, known, up.addresses())
	f := embark(t, up, doors, one.process, other.process)
	f.warm(t, 3)
	for i := range r.Times {
		one.stop(t, o)
		f.warm(t, 3)
		if i+1 < r.Times {
			one, other = other, serve(t, up.upstream, instanceSetup(t, up, r))
			wire.know(t, proxys, other.addresses(t))
			f.proxies = append(f.proxies, other.process)
			b.admit(other.instance(t))
			f.warm(t, 3)
		}
	}
	f.join(t, o)
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
	up := newBackends(t, 1012)
	c := instanceSetup(t, up, r)
	if r.Defaults {
		c.extra = "# nothing else"
	}
	h := serveHouse(t, up.upstream, c)
	doors := h.doors(t)
	before := readKernel(t)
	wire := watchResets(t, h.addresses(t), up.addresses())
	f := embark(t, up, doors, h.process)
	f.warm(t, 3)
	for i := range r.Times {
		if out, code := h.upgrade(t); code != 0 {
			o.problem("upgrade: exit %d: %s", code, out)
		}
		// The old generation is gone when its receipt is there, long before the line of processes ends.
		for limit := time.Now().Add(3 * patience); h.count(msg("receipt")) <= i; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(limit) {
				t.Fatal("the old generation is still there")
			}
		}
		if _, generation := h.current(t); generation != 2+i {
			o.problem("generation %d serves, want %d", generation, 2+i)
		}
		f.warm(t, 3)
	}
	f.join(t, o)
	wire.finish()
	o.Kernel = readKernel(t).since(before)
	for _, r := range h.receipts(t) {
		o.judgeReceipt(r)
	}
	if o.Refused != 0 {
		o.problem("%d dials refused, want none", o.Refused)
	}
	o.judgeKernel(wire)
	h.stop(t)
}

func (s *sluice) instance(t *testing.T) *instance {
	t.Helper()
	return &instance{web: on("127.0.0.1", s.web), raw: on("::1", s.raw), veil: on("::1", s.doors(t)[toVeil]), probes: s.probes}
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
			o.LameDuck, o.EndedBy = append(o.LameDuck, p.Ended.Sub(p.Began)), append(o.EndedBy, p.EndedBy)
		case "drain":
			o.Drain = append(o.Drain, p.Ended.Sub(p.Began))
		}
	}
	cut := r.CutTotal + r.StuckTotal
	o.Cut += cut
	// What a client that closed early had not acknowledged is not known to have arrived: its connection counts as errored, which is judged with the packets.
	unsent := r.BytesUnsent > 0 && r.Outcomes.Errored == 0
	if cut > 0 || r.Exchanges.Interrupted > 0 || unsent || r.ActualLoss > 0 {
		o.problem("receipt: %d cut or stuck, %d interrupted, %d bytes unsent, %d lost by idle closes", cut, r.Exchanges.Interrupted, r.BytesUnsent, r.ActualLoss)
	}
	o.Errored += r.Outcomes.Errored
	o.Unsent += r.BytesUnsent
	o.Failed += r.Exchanges.Failed
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
	case k.ListenOverflows+k.SyncookiesSent > 0: // the aborts are judged by their packets
		o.problem("the receipt's witness: %+v", *k)
	}
}

// judgeKernel: every dial that was refused is one reset, and every other one is a client's own: no connection was aborted by a
// proxy, and no queue overflowed.
//
// Libraries of HTTP/2 close as soon as they have their last response behind a goodbye, and clients of TLS do not wait for
// close_notify: what the proxy still says finds them gone, and their kernel answers with a reset. And a dial whose port is
// still in TIME_WAIT at a door that has closed costs one more: the old connection answers its SYN, the client resets that,
// and dials on (RFC 9293 3.10.7.3).
func (o *restarted) judgeKernel(wire *resets) {
	o.Left, o.Aborts, o.Idle, o.Behind = wire.left, wire.aborts, wire.idle, wire.behind
	known := wire.left + wire.aborts + wire.idle + wire.behind
	if o.Kernel.OutRsts != o.Refused+known || wire.refused != o.Refused || len(wire.others) > 0 {
		o.problem("%d dials refused; the kernel sent %d resets; on the wire %d answered a SYN, %d were of clients that were gone or of ports in TIME_WAIT, "+
			"%d of clients that closed early, %d to upstreams, %d behind the end, others: %q",
			o.Refused, o.Kernel.OutRsts, wire.refused, wire.left, wire.aborts, wire.idle, wire.behind, wire.others)
	}
	// A client that closes before it has read all takes with it what its kernel had not acknowledged yet: the proxy cannot
	// know that it was read.
	if o.Errored+o.Failed > wire.left+wire.aborts {
		o.problem("receipt: %d connections errored, %d exchanges failed, and %d clients left early", o.Errored, o.Failed, wire.left+wire.aborts)
	}
	if k := o.Kernel; k.AbortOnClose+k.AbortOnData > known || k.ListenOverflows != 0 || k.SyncookiesSent != 0 {
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
