package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// squad is replicas under a supervisor: whoever ends is started again, on the same files.
type squad struct {
	begin    func(t *testing.T, s *sluice) // of each process, when it serves
	replicas []*sluice
	setups   []setup
	ended    chan int // index of whose process ended
	quit     chan struct{}
	lives    int // processes that ended
	lost     int // by their receipts
	turns    map[string]int
}

// newSquad starts n replicas and waits until all are registered.
func newSquad(t *testing.T, up *upstream, n int, member func(id string) setup, begin func(*testing.T, *sluice)) *squad {
	t.Helper()
	q := &squad{begin: begin, ended: make(chan int, n), quit: make(chan struct{}), turns: map[string]int{}}
	t.Cleanup(func() { close(q.quit) })
	for i := range n {
		c := member(fmt.Sprintf("edge-%02d", i))
		q.setups = append(q.setups, c)
		q.replicas = append(q.replicas, nil)
		q.follow(t, i, serve(t, up, c))
	}
	q.replicas[0].registered(t, n)
	return q
}

// follow says when a process ended.
func (q *squad) follow(t *testing.T, i int, s *sluice) {
	q.replicas[i] = s
	q.begin(t, s)
	go func() { // ends with the process, which ends with the test
		<-s.exited
		select {
		case q.ended <- i:
		case <-q.quit:
		}
	}()
}

// again starts a replica that ended, after a look at how.
func (q *squad) again(t *testing.T, i int) {
	t.Helper()
	old := q.replicas[i]
	if old.code != 0 {
		t.Errorf("edge-%02d: exit code %d", i, old.code)
	}
	r := old.receipt(t)
	q.lives++
	q.lost += r.CutTotal + r.StuckTotal + int(r.Exchanges.Interrupted)
	by, _ := old.turnOf(t)
	q.turns[by]++
	s := &sluice{dir: old.dir}
	cmd := exec.Command(built.sluice, "run", "--config", s.file("sluice.yaml"), "--receipt", s.file("receipt.json"))
	s.process = launchLogged(t, cmd, q.setups[i].env, false)
	s.web, s.raw = s.listening(t, "listener", "web"), s.listening(t, "listener", "raw")
	s.probes = s.listening(t, "component", "probes")
	s.await(t, "serving", msg("serving"))
	q.follow(t, i, s)
}

// rollSeen is what `sluice fleet roll --json` says.
type rollSeen struct {
	Restarted int
	Total     int
	Lost      int
	Stopped   string
	Replicas  []struct{ ID, State, Reason, Turn string }
}

// roll runs `sluice fleet roll`, and starts again whoever ends, until it is over. each is called now and then.
func (q *squad) roll(t *testing.T, within time.Duration, each func(), flags ...string) (r rollSeen, code int) {
	t.Helper()
	args := append([]string{"fleet", "roll", "--json", "-c", q.replicas[0].file("sluice.yaml"), "--restart-command", `kill -TERM "$REPLICA_PID"`}, flags...)
	cmd := exec.Command(built.sluice, args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	over := make(chan []byte, 1)
	go func() { // ends with the command
		b, _ := io.ReadAll(out)
		_ = cmd.Wait()
		over <- b
	}()
	limit := time.NewTimer(within)
	defer limit.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case i := <-q.ended:
			q.again(t, i)
		case <-tick.C:
			each()
		case b := <-over:
			if err := json.Unmarshal(b, &r); err != nil {
				t.Fatalf("%v: %s", err, b)
			}
			conforms(t, "fleet-roll", string(b))
			return r, cmd.ProcessState.ExitCode()
		case <-limit.C:
			t.Fatalf("the roll is not over after %v", within)
		}
	}
}

// A roll restarts everybody, by a command, and nobody's request is lost.
func TestARollOfAFleet(t *testing.T) {
	store, up := newEtcd(t), newUpstream(t)
	b := newBalancer(t, 10*time.Millisecond)
	q := newSquad(t, up, 3, func(id string) setup { return store.member(id, "") }, func(_ *testing.T, s *sluice) {
		b.admit(&instance{web: s.web, probes: s.probes})
	})
	door := b.open(t, "127.0.0.1:0", func(in *instance) string { return in.web })
	l, quit := newLedger(), make(chan struct{})
	l.pace = 5 * time.Millisecond
	wait := clients(8, door, l, quit, keepAlivePosts)
	joined := false
	join := func() {
		if !joined {
			joined = true
			close(quit)
			wait()
		}
	}
	t.Cleanup(join)
	l.warm(t, 100)
	r, code := q.roll(t, time.Minute, func() {})
	join()
	if code != 0 || r.Restarted != 3 || r.Stopped != "" {
		t.Errorf("exit %d: %+v", code, r)
	}
	if refused := int(b.refused.Load()) + l.refused; len(l.lost)+len(l.wrong)+refused+q.lost > 0 {
		t.Errorf("%d of %d lost: %q; %d dials refused; by the receipts %d", len(l.lost), l.done, l.lost, refused, q.lost)
	}
	if q.turns["given"] != 3 {
		t.Errorf("turns %v", q.turns)
	}
	if _, code := q.replicas[0].cli(t, "fleet", "roll", "-c", filepath.Join(q.replicas[0].dir, "sluice.yaml"), "--replica", "nobody"); code != 1 {
		t.Errorf("a roll of nobody: exit %d", code)
	}
}

// A roll restarts nobody while who starts would refuse what is published: it would not be ready.
func TestARollWaitsForAPolicyThatIsBelieved(t *testing.T) {
	t.Parallel()
	fleet, store := newEtcd(t), newSignedStore(t)
	c := fleet.member("one", "")
	c.env = []string{"SLUICE_POLICY_SOURCE=etcd", "SLUICE_POLICY_KEYS_FILE=" + store.key + ".pub"}
	write(t, filepath.Join(store.src, "main.yaml"), fmt.Sprintf("clusters: {app: {endpoints: [%q]}}\nroutes: [{name: app, cluster: app}]\n", store.up.web))
	bare := filepath.Join(t.TempDir(), "bare.yaml") // of somebody who may write to etcd, and has no key
	write(t, bare, "version: 1\nlisteners: [{name: web, address: \"127.0.0.1:0\"}]\n"+"policy: {source: etcd}\n"+fleet.block()+"\n")
	publish := func(more ...string) {
		t.Helper()
		if out, code := command(t, append([]string{"policy", "publish", store.src, "--to", "etcd", "-c", bare}, more...)...); code != 0 {
			t.Fatalf("publish: exit %d: %s", code, out)
		}
	}
	publish("--key", store.key)
	s := run(t, c)
	s.await(t, "serving", msg("serving"))
	s.registered(t, 1)
	publish("--unsigned")
	asked := filepath.Join(t.TempDir(), "asked")
	roll := func() (string, int) {
		cmd := exec.Command(built.sluice, "fleet", "roll", "-c", s.file("sluice.yaml"), "--store-wait", "3s", "--ready-within", "5s", "--restart-command", "touch "+asked)
		cmd.Env = append(cmd.Environ(), c.env...)
		out, _ := cmd.CombinedOutput() // the code tells
		return string(out), cmd.ProcessState.ExitCode()
	}
	out, code := roll()
	if code != 1 || !strings.Contains(out, "who starts now would refuse the policy; waiting, and restarting nobody") || !strings.Contains(out, "not signed") {
		t.Errorf("roll: exit %d: %s", code, out)
	}
	if _, err := os.Stat(asked); err == nil {
		t.Error("it restarted somebody")
	}
	publish("--key", store.key, "--number", "9")
	if out, code := roll(); code != 1 || !strings.Contains(out, "one") { // the command restarts nobody
		t.Errorf("roll: exit %d: %s", code, out)
	}
	if _, err := os.Stat(asked); err != nil {
		t.Error("it restarted nobody though all is well")
	}
}
