package e2e

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A fleet: replicas that register in a store, and are never away all at once.

// block is the one of the configuration.
func (e *etcdProcess) block() string {
	return fmt.Sprintf("etcd: {endpoints: [\"%s\"]}", strings.ReplaceAll(e.endpoint, ",", `", "`))
}

// member is the setup of a replica, with more keys of fleet.
func (e *etcdProcess) member(id, more string) setup {
	return setup{extra: fmt.Sprintf("%s\nfleet: {enabled: true, id: %s, ttl: 5s, budget_wait: 60s%s}\nplatform: {stop_timeout: 90s}", e.block(), id, more)}
}

// fleetSeen is what `sluice fleet status --json` says.
type fleetSeen struct {
	Away     int
	Waiting  int
	Replicas []struct {
		ID       string
		State    string
		Ready    bool
		Instance string
		Policy   struct{ Hash string }
		Claim    *struct{ Phase, Turn string }
	}
}

func (s *sluice) fleet(t *testing.T) (f fleetSeen) {
	t.Helper()
	out, code := s.cli(t, "fleet", "status", "--json", "-c", s.file("sluice.yaml"))
	if err := json.Unmarshal([]byte(out), &f); code != 0 || err != nil {
		t.Fatalf("fleet status: exit %d, %v: %s", code, err, out)
	}
	conforms(t, "fleet-status", out)
	return f
}

// registered waits until so many replicas are ready in the store.
func (s *sluice) registered(t *testing.T, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d replicas are registered and ready", n), func() bool {
		ready := 0
		for _, r := range s.fleet(t).Replicas {
			if r.Ready && r.Policy.Hash != "" {
				ready++
			}
		}
		return ready == n
	})
}

// turnOf is what a receipt says of the wait for a turn.
func (s *sluice) turnOf(t *testing.T) (by string, skipped bool) {
	t.Helper()
	r := s.find(msg("receipt"))
	if r == nil {
		t.Fatal("there is no receipt")
	}
	receipt, _ := r["receipt"].(map[string]any)
	turn, _ := receipt["fleet_turn"].(map[string]any)
	if turn == nil {
		t.Fatalf("the receipt says nothing of a turn: %v", receipt)
	}
	by, _ = turn["ended_by"].(string)
	skipped, _ = turn["skipped"].(bool)
	return by, skipped
}

// A stop that waits for its turn ends an upgrade that began before it, and none begins behind its back: a successor that
// took over meanwhile would undo the stop.
func TestAFleetStopsAnUpgrade(t *testing.T) {
	t.Parallel()
	bad, store := stillborn(t), newEtcd(t)
	c := store.member("one", "")
	c.extra += "\nupgrade: {ready_timeout: 60s}"
	h := serveHouse(t, newUpstream(t), c)
	install(t, bad, h.program)
	write(t, h.program+".how", "unready")
	store.turn(t, "down") // an upgrade and a stop wait for as long as that takes to see
	h.signal(t, syscall.SIGUSR2)
	h.await(t, "it starts", msg("upgrade: the successor starts"))
	h.signal(t, syscall.SIGTERM)
	h.await(t, "waits", msg("told to stop: waiting for a turn"))
	h.await(t, "the upgrade is over", msg("upgrade failed; this process serves on"))
	if h.find(msg("lame duck")) != nil {
		t.Error("the upgrade was over only with the lame duck")
	}
	h.signal(t, syscall.SIGUSR2)
	h.await(t, "no other one", msg("upgrade refused"))
	if code := h.exit(t, time.Minute); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if n := h.count(msg("upgrade: the successor starts")); n != 1 {
		t.Errorf("%d upgrades", n)
	}
}

// Two that are told to stop leave one after the other; the one that waits is ready all the while.
func TestAFleetTakesTurns(t *testing.T) {
	store, up := newEtcd(t), newUpstream(t)
	first, second := serve(t, up, store.member("one", "")), serve(t, up, store.member("two", ""))
	first.registered(t, 2)
	first.signal(t, syscall.SIGTERM)
	first.await(t, "leaves", msg("lame duck"))
	second.signal(t, syscall.SIGTERM)
	second.await(t, "waits", msg("told to stop: waiting for a turn"))
	if code, body := second.probe(t, "/readyz"); code != 200 {
		t.Errorf("waiting for its turn, it is not ready: %s", body)
	}
	eventually(t, "one is away and one waits", func() bool {
		f := second.fleet(t)
		return f.Away == 1 && f.Waiting == 1
	})
	for _, s := range []*sluice{first, second} {
		if code := s.exit(t, time.Minute); code != 0 {
			t.Errorf("exit code %d", code)
		}
		if by, skipped := s.turnOf(t); by != "given" || skipped {
			t.Errorf("turn: %s, skipped %v", by, skipped)
		}
	}
	if left := second.find(msg("lame duck")).at(t); left.Before(first.exitAt) {
		t.Errorf("the second left at %v, before the first was gone at %v", left, first.exitAt)
	}
}

// SIGTERM always wins: with the store away it goes without a turn, and says so; one more signal ends any wait.
func TestAFleetKeepsNobody(t *testing.T) {
	store, up := newEtcd(t), newUpstream(t)
	alone, hurried := serve(t, up, store.member("one", "")), serve(t, up, store.member("two", ""))
	alone.registered(t, 2)
	store.turn(t, "down")
	eventually(t, "health says that the store is away", func() bool {
		checks, _ := alone.status(t)["statuses"].(map[string]any)
		check, _ := checks["fleet.presence"].(map[string]any)
		return check["status"] == "DEGRADED"
	})
	if code, body := alone.probe(t, "/readyz"); code != 200 {
		t.Errorf("with the store away it is not ready: %s", body)
	}
	alone.signal(t, syscall.SIGTERM)
	hurried.signal(t, syscall.SIGTERM)
	hurried.await(t, "waits", msg("told to stop: waiting for a turn"))
	time.Sleep(300 * time.Millisecond) // signals within 250 ms are one
	hurried.signal(t, syscall.SIGTERM)
	for s, want := range map[*sluice]string{alone: "store_away", hurried: "signal"} {
		if code := s.exit(t, patience); code != 0 {
			t.Errorf("exit code %d", code)
		}
		if by, skipped := s.turnOf(t); by != want || !skipped {
			t.Errorf("turn: %s, skipped %v, want %s", by, skipped, want)
		}
		if s.find(msg("stopping WITHOUT a turn")) == nil {
			t.Error("the log does not say that it left without a turn")
		}
		if s.find(msg("lame duck")) == nil {
			t.Error("it had no lame duck")
		}
	}
}

// What is revoked at one replica ends sessions at all of them, and on their disks; the answer says when it does not.
func TestAFleetSharesRevocations(t *testing.T) {
	store, up := newEtcd(t), newUpstream(t)
	key, err := exec.Command(built.sluice, "session", "keygen").Output()
	if err != nil {
		t.Fatal(err)
	}
	member := func(id string) *sluice {
		keys, list := filepath.Join(t.TempDir(), "keys"), filepath.Join(t.TempDir(), "list")
		write(t, keys, string(key))
		c := store.member(id, "")
		c.extra += fmt.Sprintf("\nsessions: {key_file: %q, revocations: {file: %q}}", keys, list)
		return serve(t, up, c)
	}
	revoked := func(s *sluice) float64 {
		sessions, _ := s.status(t)["sessions"].(map[string]any)
		list, _ := sessions["revocations"].(map[string]any)
		n, _ := list["entries"].(float64)
		return n
	}
	one, two := member("one"), member("two")
	one.registered(t, 2)
	revoke := func(s *sluice, id string) int {
		_, code := s.cli(t, "session", "revoke", "-c", s.file("sluice.yaml"), "--session", id)
		return code
	}
	if code := revoke(one, "abc"); code != 0 {
		t.Errorf("revoke: exit %d", code)
	}
	eventually(t, "the other replica knows", func() bool { return revoked(two) == 1 })
	store.turn(t, "down")
	if code := revoke(two, "def"); code != 1 {
		t.Errorf("revoke with the store away: exit %d", code)
	}
	if revoked(two) != 2 {
		t.Error("it is not in force where it was revoked")
	}
	store.turn(t, "up")
	eventually(t, "the first knows when the store is back", func() bool { return revoked(one) == 2 })
	_, scraped := one.probe(t, "/metrics")
	rulesNameWhatIsThere(t, scraped, 2, ofFleets)
}

// A replica that cannot believe what is published any more, as the only one of its fleet, is not ready once its policy is too
// old; it serves on and lives. The one whose policy is fine stays.
func TestAStaleReplicaLeavesAFleetThatIsNot(t *testing.T) {
	t.Parallel()
	fleet, store := newEtcd(t), newSignedStore(t)
	later := filepath.Join(t.TempDir(), "later.key")
	if out, code := command(t, "policy", "keygen", later); code != 0 {
		t.Fatalf("keygen: exit %d: %s", code, out)
	}
	both := filepath.Join(t.TempDir(), "both.pub")
	write(t, both, read(t, store.key+".pub")+read(t, later+".pub"))
	store.publish(t, store.dir, "v1")
	replica := func(id, keys string) *sluice {
		c := fleet.member(id, "")
		c.env = []string{"SLUICE_POLICY_DIR=" + store.dir, "SLUICE_POLICY_LAYOUT=objects", "SLUICE_POLICY_KEYS_FILE=" + keys,
			"SLUICE_POLICY_MAX_STALENESS=3s", "SLUICE_POLICY_ON_STALE=unready", "SLUICE_POLICY_FLEET_GUARD=60"}
		s := run(t, c)
		s.await(t, "serving", msg("serving"))
		return s
	}
	current, behind := replica("current", both), replica("behind", store.key+".pub")
	current.registered(t, 2)
	write(t, filepath.Join(store.src, "main.yaml"), policyFor(store.up.web, store.up.raw, "v2"))
	if out, code := command(t, "policy", "publish", store.src, "--to", "dir:"+store.dir, "--key", later, "--keys", both); code != 0 {
		t.Fatalf("publish with the later key: exit %d: %s", code, out)
	}
	freshness := func(s *sluice, state string) func() bool {
		return func() bool { v, _ := s.metric(t, `sluice_policy_freshness{state="`+state+`"}`); return v == 1 }
	}
	eventually(t, "the replica that is behind is not ready", freshness(behind, "unready"))
	if code, _ := behind.probe(t, "/readyz"); code == 200 {
		t.Error("it is ready")
	}
	if code, body := behind.probe(t, "/livez"); code != 200 {
		t.Errorf("it is to be restarted for that: %s", body)
	}
	if code, body := current.probe(t, "/readyz"); code != 200 || !freshness(current, "fresh")() {
		t.Errorf("the other one is not ready either: %s", body)
	}
	store.publish(t, store.dir, "v3", "--number", "3")
	eventually(t, "what it believes is there again", func() bool { code, _ := behind.probe(t, "/readyz"); return code == 200 })
}
