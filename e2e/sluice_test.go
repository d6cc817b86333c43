package e2e

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// goodKey opens the route "private".
const goodKey = "e2e-key-7f1c0a3f5f1a4c6a8b0e"

// setup is a configuration in the making. The zero value: both listeners, no upstream,
// no policy, the short lame duck of the tests under load.
type setup struct {
	policy   string // text of policy/main.yaml; empty: the file does not exist
	lameDuck string // value of lame_duck; "default" leaves it out
	drain    string // value of drain; "default" leaves it out
	admin    string // value of admin; empty: a unix socket
	extra    string // more top-level lines
	poll     string // policy.poll; empty: 1s
	ofRaw    string // the same of the listener raw
	ofWeb    string // more keys of the listener web: ", max_connections: 3"
	web, raw string // addresses of the listeners; empty: 127.0.0.1 and a free port
	doors    string // more listeners, a line each
	known    string // more of authenticate: ", jwt: [...]"
	env      []string
	access   bool // the access log is read
	confined confinement
}

// Settings of most tests: fast, and each phase long enough to be seen.
const (
	shortDuck  = "{min: 200ms, max: 400ms, quiet: 100ms, notice_after: 100ms}"
	shortDrain = "{timeout: 8s, idle_close: 500ms, flush: 1s}"
)

// sluice is a running proxy.
type sluice struct {
	*process
	dir    string
	web    string // address of the http listener
	raw    string // address of the tcp listener
	probes string
}

func (s *sluice) file(name string) string { return filepath.Join(s.dir, name) }

// prepare writes the files of a proxy and returns their directory.
func prepare(t *testing.T, c setup) string {
	t.Helper()
	dir := t.TempDir()
	var b strings.Builder
	fmt.Fprintf(&b, "version: 1\nlisteners:\n- {name: web, address: %q%s}\n- {name: raw, address: %q, protocol: tcp%s}\n%s",
		cmp.Or(c.web, "127.0.0.1:0"), c.ofWeb, cmp.Or(c.raw, "127.0.0.1:0"), c.ofRaw, c.doors)
	fmt.Fprintf(&b, "policy: {dir: %q, poll: %s}\n", filepath.Join(dir, "policy"), cmp.Or(c.poll, "1s"))
	fmt.Fprintf(&b, "authenticate: {api_key: {file: %q}%s}\n", filepath.Join(dir, "keys.yaml"), c.known)
	for _, section := range []struct{ name, value, usual string }{
		{"lame_duck", c.lameDuck, shortDuck}, {"drain", c.drain, shortDrain},
	} {
		switch section.value {
		case "":
			fmt.Fprintf(&b, "%s: %s\n", section.name, section.usual)
		case "default":
		default:
			fmt.Fprintf(&b, "%s: %s\n", section.name, section.value)
		}
	}
	fmt.Fprintf(&b, "probes: {address: \"127.0.0.1:0\"}\nadmin: %s\n%s\n",
		cmp.Or(c.admin, fmt.Sprintf("{address: \"unix:%s\"}", filepath.Join(dir, "admin.sock"))), c.extra)
	write(t, filepath.Join(dir, "sluice.yaml"), b.String())
	write(t, filepath.Join(dir, "keys.yaml"), keyFile(goodKey))
	if err := os.Mkdir(filepath.Join(dir, "policy"), 0o755); err != nil {
		t.Fatal(err)
	}
	if c.policy != "" {
		write(t, filepath.Join(dir, "policy", "main.yaml"), c.policy)
	}
	return dir
}

// write puts a file in place in one step, as an operator's tool would.
func write(t *testing.T, name, text string) {
	t.Helper()
	// The temporary name must not look like a policy.
	if err := os.WriteFile(name+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		t.Fatal(err)
	}
}

// keyFile makes a key file with one key of an engineer.
func keyFile(key string) string {
	sum := sha256.Sum256([]byte(key))
	return fmt.Sprintf("keys:\n- {id: ada, sha256: %s, user: ada, groups: [engineers]}\n", hex.EncodeToString(sum[:]))
}

// policyFor is the policy of most tests. version appears in the name of a route, so that
// versions differ.
func policyFor(web, raw, version string) string {
	return fmt.Sprintf(`clusters:
  app: {endpoints: [%q]}
  echo: {endpoints: [%q]}
routes:
- name: open-%s
  path: {prefix: /}
  cluster: app
  policy: [{allow: {and: [{accept: true}]}}]
- name: private
  path: {prefix: /private}
  cluster: app
  authenticate: [api_key]
  policy: [{allow: {and: [{groups: {has: engineers}}]}}]
- name: secret
  path: {prefix: /secret}
  cluster: app
  authenticate: [api_key]
  policy: [{allow: {and: [{groups: {has: admins}}]}}]
tcp_routes: [{listener: raw, cluster: echo, policy: [{allow: {and: [{source_ip: 127.0.0.0/8}]}}]}]
`, web, raw, version)
}

// run starts a proxy and waits until its listeners are bound.
func run(t *testing.T, c setup) *sluice {
	t.Helper()
	s := &sluice{dir: prepare(t, c)}
	cmd := exec.Command(built.sluice, "run", "--config", s.file("sluice.yaml"), "--receipt", s.file("receipt.json"))
	if c.confined != "" {
		cmd = c.confined.around(t, s.dir, cmd)
	}
	s.process = launchLogged(t, cmd, c.env, c.access)
	s.web = s.listening(t, "listener", "web")
	s.raw = s.listening(t, "listener", "raw")
	s.probes = s.listening(t, "component", "probes")
	return s
}

// listening reads an address from the log.
func (p *process) listening(t *testing.T, key, name string) string {
	t.Helper()
	return p.await(t, "listening "+name, func(r record) bool {
		return r.str("msg") == "listening" && r.str(key) == name
	}).str("address")
}

// serve starts a proxy in front of an upstream and waits until it serves.
func serve(t *testing.T, up *upstream, c setup) *sluice {
	t.Helper()
	if c.policy == "" {
		c.policy = policyFor(up.web, up.raw, "v1")
	}
	s := run(t, c)
	s.await(t, "serving", msg("serving"))
	return s
}

// probe asks the probes listener.
func (s *sluice) probe(t *testing.T, path string) (int, string) {
	t.Helper()
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + s.probes + path)
	if err != nil {
		t.Fatalf("probe %s: %v", path, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("probe %s: %v", path, err)
	}
	return resp.StatusCode, string(body)
}

// metric reads one value of /metrics; series is the name with its labels.
func (s *sluice) metric(t *testing.T, series string) (value float64, ok bool) {
	t.Helper()
	_, text := s.probe(t, "/metrics")
	for line := range strings.Lines(text) {
		if rest, found := strings.CutPrefix(line, series+" "); found {
			if _, err := fmt.Sscan(rest, &value); err != nil {
				t.Fatalf("metric %q: %v", line, err)
			}
			return value, true
		}
	}
	return 0, false
}

// sum adds up every series of a metric.
func (s *sluice) sum(t *testing.T, name string) (total float64) {
	t.Helper()
	_, text := s.probe(t, "/metrics")
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, name+"{") && !strings.HasPrefix(line, name+" ") {
			continue
		}
		var v float64
		if _, err := fmt.Sscan(line[strings.LastIndexByte(strings.TrimSpace(line), ' ')+1:], &v); err != nil {
			t.Fatalf("metric %q: %v", line, err)
		}
		total += v
	}
	return total
}

// status asks `sluice status --json`.
func (s *sluice) status(t *testing.T) map[string]any {
	t.Helper()
	out, code := s.cli(t, "status", "--json", "--config", s.file("sluice.yaml"))
	if code != 0 {
		t.Fatalf("status: exit %d: %s", code, out)
	}
	var status map[string]any
	if err := json.Unmarshal([]byte(out), &status); err != nil {
		t.Fatalf("status: %v in %s", err, out)
	}
	return status
}

// cli runs a command of the product to its end.
func (s *sluice) cli(t *testing.T, args ...string) (string, int) {
	t.Helper()
	return command(t, args...)
}

// command runs the product with arguments and returns what it printed, and its exit code.
func command(t *testing.T, args ...string) (string, int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, built.sluice, args...).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("sluice %v: %v", args, err)
	}
	if exit != nil {
		return string(out), exit.ExitCode()
	}
	return string(out), 0
}

// receipt is what the tests read of the final account.
type receipt struct {
	Trigger string `json:"trigger"`
	Phases  []struct {
		Name    string    `json:"name"`
		Began   time.Time `json:"began"`
		Ended   time.Time `json:"ended"`
		EndedBy string    `json:"ended_by"`
	} `json:"phases"`
	Initial struct {
		Handshake, Idle, Active, Tunnel int
	} `json:"initial"`
	Refused  int `json:"refused"`
	Outcomes struct {
		Completed  int `json:"completed"`
		IdleClosed int `json:"idle_closed"`
		Errored    int `json:"errored"`
	} `json:"outcomes"`
	Exchanges struct {
		LameDuck    int `json:"finished_in_lame_duck"`
		Draining    int `json:"finished_while_draining"`
		Interrupted int `json:"interrupted"`
		Failed      int `json:"failed"`
	} `json:"exchanges"`
	Cut          []holder `json:"cut"`
	Stuck        []holder `json:"stuck"`
	CutTotal     int      `json:"cut_total"`
	Told         int      `json:"told"`
	StuckTotal   int      `json:"stuck_total"`
	BytesUnsent  int64    `json:"bytes_unsent"`
	ActualLoss   int      `json:"actual_loss"`
	ExpectedLoss float64  `json:"expected_loss"`
	Moves        []struct {
		At, Deadline time.Time
	} `json:"deadline_moves"`
	Kernel *struct {
		Own             bool   `json:"own_namespace"`
		OutRsts         uint64 `json:"tcp_out_rsts"`
		AbortOnClose    uint64 `json:"tcp_abort_on_close"`
		AbortOnData     uint64 `json:"tcp_abort_on_data"`
		ListenOverflows uint64 `json:"listen_overflows"`
		ListenDrops     uint64 `json:"listen_drops"`
		SyncookiesSent  uint64 `json:"syncookies_sent"`
	} `json:"kernel"`
	Listeners []struct {
		Name    string `json:"name"`
		Proven  bool   `json:"proven"`
		Reason  string `json:"reason"`
		Residue int    `json:"residue"`
	} `json:"listeners"`
}

// holder is a connection that a receipt names.
type holder struct {
	Listener string   `json:"listener"`
	Protocol string   `json:"protocol"`
	Peer     string   `json:"peer"`
	Route    string   `json:"route"`
	Class    string   `json:"class"`
	Why      string   `json:"why"`
	Cause    string   `json:"cause"`
	Requests []string `json:"requests"`
}

// receipt reads the file that the process left.
func (s *sluice) receipt(t *testing.T) receipt {
	t.Helper()
	text, err := os.ReadFile(s.file("receipt.json"))
	if err != nil {
		t.Fatal(err)
	}
	var r receipt
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(&r); err != nil {
		t.Fatalf("receipt: %v in %s", err, text)
	}
	return r
}

// phase is when a phase began and ended; both zero if there was none.
func (r receipt) phase(name string) (began, ended time.Time) {
	for _, p := range r.Phases {
		if p.Name == name {
			return p.Began, p.Ended
		}
	}
	return began, ended
}

// last is when the last handle came back.
func (r receipt) last() time.Time {
	if len(r.Phases) == 0 {
		return time.Time{}
	}
	return r.Phases[len(r.Phases)-1].Ended
}

// dial connects, for at most patience.
func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(3 * patience))
	return c
}

// read returns the text of a file.
func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
