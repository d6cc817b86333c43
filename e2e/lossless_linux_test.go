package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// G3, the long form: restarts with every class of client at once, each in a network
// namespace of its own, so that the kernel can be asked too.
//
//	make lossless                                  # 20 a mode
//	make lossless RESTARTS=1000 DEFAULTS=50        # the campaign

// losslessCounts is how often each mode is played, with the short lame duck of the tests
// and at the shipped defaults.
func losslessCounts() (short, defaults int) {
	short = 12 // of both drivers in turns, so one run of the suite is enough
	if os.Getenv("E2E_DRIVER") != "" {
		short = 1
	}
	if n, err := strconv.Atoi(os.Getenv("E2E_LOSSLESS")); err == nil {
		short = n
	}
	defaults, _ = strconv.Atoi(os.Getenv("E2E_LOSSLESS_DEFAULTS"))
	return short, defaults
}

func TestLossless(t *testing.T) {
	if testing.Short() {
		t.Skip("each restart takes seconds")
	}
	needNamespaces(t)
	if _, err := buildGRPC(); err != nil {
		t.Fatal(err)
	}
	short, defaults := losslessCounts()
	var report strings.Builder
	fmt.Fprintf(&report, "# Restarts under load, each in a network namespace of its own\n\n%s\n\n", reportHead())
	for _, mode := range modeNames() {
		for _, c := range []struct {
			n        int
			defaults bool
		}{{short, false}, {defaults, true}} {
			if c.n > 0 {
				report.WriteString(playRestarts(t, restart{Mode: mode, Defaults: c.defaults}, c.n).String())
			}
		}
	}
	t.Logf("\n%s", report.String())
	if name := os.Getenv("E2E_LOSSLESS_REPORT"); name != "" {
		write(t, name, report.String())
	}
}

func reportHead() string {
	var parts []string
	for _, c := range classes(nil) {
		parts = append(parts, fmt.Sprintf("%d %s", c.n, c.name))
	}
	parts = append(parts, "2 gRPC channels with 2 callers of each kind")
	return "Clients, none of which tries anything twice, half by IPv4 and half by IPv6: " + strings.Join(parts, ", ") + "; each rests for " + losslessPace().String() + "."
}

// campaign is what many restarts of one mode came to.
type campaign struct {
	mode    restart
	total   restarted
	drivers map[string]int
	ducks   []time.Duration
	drains  []time.Duration
	endedBy map[string]int
	void    int             // restarts in which the machine stood still: they say nothing, and are in no other number
	stalls  []time.Duration // of the others
}

// stallLimit is from when on the machine, and not the proxy, is what a restart tells of: clients give up after some such
// pauses.
const stallLimit = time.Second

// losslessLanes is how many restarts run side by side: they mostly wait.
func losslessLanes() int {
	if n, err := strconv.Atoi(os.Getenv("E2E_LOSSLESS_LANES")); err == nil {
		return n
	}
	return 3
}

// losslessTimes is how many restarts share a namespace, and the load's programs.
func losslessTimes() int {
	if n, err := strconv.Atoi(os.Getenv("E2E_LOSSLESS_TIMES")); err == nil && n > 0 {
		return n
	}
	return 1
}

// playRestarts plays n restarts, on both drivers in turns, and fails the test for each that
// lost something or says something that cannot be.
func playRestarts(t *testing.T, mode restart, n int) *campaign {
	t.Helper()
	c := &campaign{mode: mode, total: restarted{Done: map[string]int{}, Closes: map[int]int{}}, drivers: map[string]int{}, endedBy: map[string]int{}}
	dir := t.TempDir()
	var mu sync.Mutex // guards c and t's failures below
	var running sync.WaitGroup
	lanes := make(chan struct{}, losslessLanes())
	times := losslessTimes()
	for i := range (n + times - 1) / times {
		lanes <- struct{}{}
		running.Go(func() { // ends with the restart
			defer func() { <-lanes }()
			r := mode
			r.Times = min(times, n-i*times)
			r.Driver = []string{"epoll", "portable"}[i%2]
			r.H2Posts = i/2%2 == 1
			r.Late = i%7 == 5
			r.Out = filepath.Join(dir, fmt.Sprintf("%d.json", i))
			o, err := playOne(r)
			mu.Lock()
			defer mu.Unlock()
			if o.Stall > stallLimit {
				t.Logf("%+v: the machine stood still for %v; lost %.300q, problems %.300q", r, o.Stall, o.Lost, o.Problems)
				c.void += r.Times
				return
			}
			if err != nil {
				t.Errorf("%s, restarts from %d (%s): %v", r.Mode, i*times+1, r.Driver, err)
				return
			}
			c.add(r, o)
			if len(o.Lost)+len(o.Wrong)+len(o.Problems) > 0 {
				t.Errorf("%+v: lost %.2000q, wrong %.2000q, problems %q", r, o.Lost, o.Wrong, o.Problems)
			}
			// A dial that was shed takes a second, the time of its next SYN. What is under that
			// says something of the machine only, unless the machine is ours alone; so does what it stood still for: a
			// balancer that was kept from asking does not know who is leaving.
			if limit := dialLimit() + o.Stall; o.Slowest > limit {
				t.Errorf("%s, restarts from %d (%s): a dial behind the balancer took %v, want at most %v", r.Mode, i*times+1, r.Driver, o.Slowest, limit)
			}
		})
	}
	running.Wait()
	if c.void > n/2 {
		t.Errorf("%s: the machine stood still in %d of %d restarts", mode.Mode, c.void, n)
	}
	return c
}

func dialLimit() time.Duration {
	if heavy() {
		return 100 * time.Millisecond
	}
	return 900 * time.Millisecond
}

func playOne(r restart) (o restarted, err error) {
	work, err := json.Marshal(r)
	if err != nil {
		return o, err
	}
	out, runErr := isolated("TestLosslessInside", string(work)).CombinedOutput()
	text, err := os.ReadFile(r.Out)
	if err == nil {
		err = json.Unmarshal(text, &o)
	}
	if runErr != nil || err != nil {
		return o, fmt.Errorf("%v, %v:\n%s", runErr, err, out[:min(len(out), 100_000)])
	}
	return o, nil
}

func (c *campaign) add(r restart, o restarted) {
	for name, n := range o.Done {
		c.total.Done[name] += n
	}
	c.total.Lost, c.total.Wrong = append(c.total.Lost, o.Lost...), append(c.total.Wrong, o.Wrong...)
	c.total.Problems = append(c.total.Problems, o.Problems...)
	c.total.Refused += o.Refused
	c.total.Own += o.Own
	for code, n := range o.Closes {
		c.total.Closes[code] += n
	}
	c.total.Unproven += o.Unproven
	c.total.Cut += o.Cut
	c.total.Left += o.Left
	c.total.Aborts += o.Aborts
	c.total.Idle += o.Idle
	c.total.Behind += o.Behind
	c.total.Errored += o.Errored
	c.total.Unsent += o.Unsent
	c.total.Failed += o.Failed
	c.total.Dials += o.Dials
	c.total.Slow += o.Slow
	c.total.Slowest = max(c.total.Slowest, o.Slowest)
	c.total.Kernel = c.total.Kernel.plus(o.Kernel)
	c.drivers[r.Driver] += len(o.Drain)
	c.ducks, c.drains = append(c.ducks, o.LameDuck...), append(c.drains, o.Drain...)
	for _, by := range o.EndedBy {
		c.endedBy[by]++
	}
	c.stalls = append(c.stalls, o.Stall)
}

func (k kernelCounters) plus(b kernelCounters) kernelCounters {
	return k.since(kernelCounters{}.since(b))
}

// String is the part of the report.
func (c *campaign) String() string {
	var b strings.Builder
	settings := fmt.Sprintf("a lame duck of %v to %v", grown(200*time.Millisecond), grown(400*time.Millisecond))
	if c.mode.Defaults {
		settings = "shipped defaults"
	}
	done, played := 0, len(c.ducks)
	var names []string
	for name, n := range c.total.Done {
		done += n
		names = append(names, fmt.Sprintf("%s %d", name, n))
	}
	slices.Sort(names)
	fmt.Fprintf(&b, "## %s: %d restarts, %s\n\n", c.mode.Mode, played, settings)
	fmt.Fprintf(&b, "- %d exchanges and tunnels: %s\n", done, strings.Join(names, ", "))
	fmt.Fprintf(&b, "- **%d lost**, %d wrong, %d cut, %d problems; %d dials refused; drivers %v\n",
		len(c.total.Lost), len(c.total.Wrong), c.total.Cut, len(c.total.Problems), c.total.Refused, c.drivers)
	fmt.Fprintf(&b, "- %d errors of GOAWAY; WebSockets that ended with a whole Close at both ends, by code (1000: the client's own): %v; "+
		"%d posts failed in a client library before they were sent (%q), and none of these reached the upstream\n",
		c.goaways(), c.total.Closes, c.total.Own, cannotRewind)
	if len(c.total.Lost) == 0 && played > 0 {
		// The rule of three: n trials without an event bound its probability by 3/n at 95 %.
		fmt.Fprintf(&b, "- bound by that count (95 %%): at most %.3g of the restarts lose something, at most %.2g of the exchanges are lost\n",
			3/float64(played), 3/float64(max(done, 1)))
	}
	fmt.Fprintf(&b, "- lame duck %s, ended by %v; drain %s; %d listener closes unproven\n", spread(c.ducks), c.endedBy, spread(c.drains), c.total.Unproven)
	fmt.Fprintf(&b, "- longest pause of the machine in a restart %s; %d more restarts said nothing, with one over %v\n", spread(c.stalls), c.void, stallLimit)
	if c.total.Dials > 0 {
		fmt.Fprintf(&b, "- %d dials of the balancer, %d over 100 ms, the slowest %v\n", c.total.Dials, c.total.Slow, c.total.Slowest.Round(100*time.Microsecond))
	}
	fmt.Fprintf(&b, "- kernel, whole namespaces: %+v; of the resets %d were of clients that were gone or of ports in TIME_WAIT, %d of clients that closed early, %d between proxies and upstreams, %d to clients that spoke when their connection was over; "+
		"receipts: %d connections errored with %d bytes not known to have arrived, %d exchanges failed, all of clients that closed early\n\n",
		c.total.Kernel, c.total.Left, c.total.Aborts, c.total.Idle, c.total.Behind, c.total.Errored, c.total.Unsent, c.total.Failed)
	return b.String()
}

// goaways are the errors by which clients heard a goodbye.
func (c *campaign) goaways() (n int) {
	for _, lost := range c.total.Lost {
		if strings.Contains(strings.ToUpper(lost), "GOAWAY") {
			n++
		}
	}
	return n
}

func spread(ds []time.Duration) string {
	if len(ds) == 0 {
		return "-"
	}
	ds = slices.Sorted(slices.Values(ds))
	ms := func(d time.Duration) time.Duration { return d.Round(time.Millisecond) }
	return fmt.Sprintf("%v / %v / %v (least, median, most)", ms(ds[0]), ms(ds[len(ds)/2]), ms(ds[len(ds)-1]))
}

// TestLosslessNotices: the same restart of a server that closes its door first, as
// http.Server.Shutdown does, loses something, and the harness says so. (The kernel sees only some of it: a FIN that
// crosses with a request loses it without a reset.)
func TestLosslessNotices(t *testing.T) {
	if testing.Short() {
		t.Skip("a restart takes seconds")
	}
	needNamespaces(t)
	r := restart{Mode: modeCheat, Times: 1, Out: filepath.Join(t.TempDir(), "out.json")}
	o, err := playOne(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d lost, %d refused, kernel %+v", len(o.Lost), o.Refused, o.Kernel)
	if len(o.Lost) == 0 {
		t.Errorf("a server that closes its door first lost nothing: %+v", o)
	}
}
