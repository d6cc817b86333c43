package e2e

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// G1: nothing is forwarded before the policy is in force. A timeout never opens the gate.

// brokenPolicy has one fault, in a place that can be named.
const brokenPolicy = "clusters: {app: {endpoints: [\"127.0.0.1:1\"]}}\nroutes:\n- {name: r, cluster: nowhere, policy: [{allow: {and: [{accept: true}]}}]}\n"

// brokenWords is the part of its fault that must be everywhere the same.
const brokenWords = "nowhere"

// TestG1KnockerFromBeforeTheStart knocks 50 times a second, by HTTP and by TCP, from
// before the process exists, through policy absent and broken, to good.
func TestG1KnockerFromBeforeTheStart(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"refuse", "hold"} {
		t.Run(mode, func(t *testing.T) { knockThrough(t, mode) })
	}
}

func knockThrough(t *testing.T, mode string) {
	up := newUpstream(t)
	web, raw := freeAddress(t), freeAddress(t)
	k := newKnocker(web, raw)
	t.Cleanup(k.finish)
	k.atLeast(t, "knocks before the process", 5, "http refused", "tcp refused")

	s := run(t, setup{web: web, raw: raw, extra: "start: {mode: " + mode + "}"})
	s.await(t, "waiting for the policy", func(r record) bool { return strings.Contains(r.str("reason"), "init targets") })
	if mode == "refuse" {
		k.atLeast(t, "knocks without a policy", 10, "http 503", "tcp closed")
	}
	if code, _ := s.probe(t, "/readyz"); code != 503 {
		t.Errorf("/readyz says %d without a policy, want 503", code)
	}
	if code, _ := s.probe(t, "/livez"); code != 200 {
		t.Errorf("/livez says %d without a policy, want 200", code)
	}

	write(t, s.file("policy/main.yaml"), brokenPolicy)
	eventually(t, "the broken policy is in the probe's words", func() bool {
		_, body := s.probe(t, "/readyz?verbose")
		return strings.Contains(body, brokenWords)
	})
	if mode == "refuse" {
		k.atLeast(t, "knocks with a broken policy", 10, "http 503", "tcp closed")
	}
	if code, _ := s.probe(t, "/readyz"); code != 503 {
		t.Errorf("/readyz says %d with a broken policy, want 503", code)
	}
	if n := len(up.log("")); n != 0 {
		t.Fatalf("the upstream saw %d before any policy was in force", n)
	}

	write(t, s.file("policy/main.yaml"), policyFor(up.web, up.raw, "v1"))
	force := s.await(t, "policy in force", msg("policy in force")).at(t)
	k.atLeast(t, "knocks under the policy", 20, "http 200", "tcp echo")
	k.finish()

	for verdict, n := range k.verdicts {
		switch verdict {
		case "http refused", "http 503", "http 200", "tcp refused", "tcp closed", "tcp echo":
			t.Logf("%-14s %d", verdict, n)
		default:
			t.Errorf("%d knocks without a verdict: %s", n, verdict)
		}
	}
	for _, v := range up.log("") {
		if v.at.Before(force) {
			t.Errorf("the upstream saw %s %v before the policy was in force", v.path, force.Sub(v.at))
		}
	}
	s.signal(t, syscall.SIGTERM)
	if code := s.exit(t, patience); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// freeAddress picks an address that nobody listens on. Somebody else may take it before
// it is used; the kernel hands out the same port again last of all.
func freeAddress(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// knocker knocks at both doors and counts the verdicts.
type knocker struct {
	quit    chan struct{} // closed by finish
	once    sync.Once     // of finish
	running sync.WaitGroup

	mu       sync.Mutex // guards verdicts
	verdicts map[string]int
}

func newKnocker(web, raw string) *knocker {
	k := &knocker{quit: make(chan struct{}), verdicts: map[string]int{}}
	k.running.Go(func() { k.loop(web, knockHTTP) }) // ends with quit
	k.running.Go(func() { k.loop(raw, knockTCP) })  // ends with quit
	return k
}

// loop begins a knock every 20 ms, whether or not the one before it has its verdict.
func (k *knocker) loop(addr string, knock func(string) string) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-k.quit:
			return
		}
		k.running.Go(func() { // ends with its verdict
			verdict := knock(addr)
			k.mu.Lock()
			k.verdicts[verdict]++
			k.mu.Unlock()
		})
	}
}

func (k *knocker) finish() {
	k.once.Do(func() { close(k.quit) })
	k.running.Wait()
}

// atLeast waits until n more of each verdict were counted.
func (k *knocker) atLeast(t *testing.T, what string, n int, verdicts ...string) {
	t.Helper()
	count := func(v string) int {
		k.mu.Lock()
		defer k.mu.Unlock()
		return k.verdicts[v]
	}
	for _, v := range verdicts {
		before := count(v)
		eventually(t, fmt.Sprintf("%s: %d x %q", what, n, v), func() bool { return count(v) >= before+n })
	}
}

func knockHTTP(addr string) string {
	w, err := connect(addr, patience)
	if errors.Is(err, errRefused) {
		return "http refused"
	} else if err != nil {
		return "http dial: " + err.Error()
	}
	defer w.Close()
	a, err := w.ask(get("/knock"))
	switch {
	case err != nil:
		return "http without an answer: " + strings.ReplaceAll(err.Error(), w.LocalAddr().String(), "client")
	case a.status == 503 && (!a.leave || a.head.Get("Retry-After") == ""):
		return "http 503 without Retry-After or a close"
	}
	return fmt.Sprintf("http %d", a.status)
}

func knockTCP(addr string) string {
	w, err := connect(addr, patience)
	if errors.Is(err, errRefused) {
		return "tcp refused"
	} else if err != nil {
		return "tcp dial: " + err.Error()
	}
	defer w.Close()
	const word = "knock\n"
	_, _ = io.WriteString(w, word) // where the door was closed already the read says so
	switch got, err := w.in.ReadString('\n'); {
	case got == word:
		return "tcp echo"
	case got == "" && (errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)):
		return "tcp closed"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "tcp without an answer"
	default:
		return fmt.Sprintf("tcp %q %v", got, err)
	}
}
