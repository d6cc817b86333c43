package kubelet

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// patience bounds every wait.
const patience = 30 * time.Second

// binary is the program under test, built once by TestMain.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "sluice-kubelet-")
	if err == nil {
		binary = filepath.Join(dir, "sluice")
		cmd := exec.Command("go", "build", "-o", binary, "./cmd/sluice")
		cmd.Dir = "../.."
		var out []byte
		if out, err = cmd.CombinedOutput(); err != nil {
			err = fmt.Errorf("%w\n%s", err, out)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "kubelet:", err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// proxy is a running one, in front of an upstream of the test.
type proxy struct {
	cmd     *exec.Cmd
	dir     string
	web     string // address of the traffic listener
	probes  string
	exited  chan struct{} // closed by watch
	lines   chan string   // messages of the log; closed by watch
	release chan struct{} // closed by the test: /held is answered
	arrived chan struct{} // a request is held
}

// start starts a proxy without a policy, and waits until it listens.
func start(t *testing.T) *proxy {
	t.Helper()
	p := &proxy{dir: t.TempDir(), exited: make(chan struct{}), lines: make(chan string, 256), release: make(chan struct{}), arrived: make(chan struct{}, 1)}
	if err := os.Mkdir(filepath.Join(p.dir, "policy"), 0o755); err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf(`version: 1
listeners: [{name: web, address: "127.0.0.1:0"}]
policy: {dir: %q, poll: 1s}
authenticate: {api_key: {file: %q}}
platform: {stop_timeout: 180s}
lame_duck: {min: 60s, max: 60s}
drain: {timeout: 60s}
probes: {address: "127.0.0.1:0"}
admin: {address: %q}
log: {format: json}
`, filepath.Join(p.dir, "policy"), p.file("keys.yaml"), "unix:"+filepath.Join(p.dir, "admin.sock"))
	keys := fmt.Sprintf("keys:\n- {id: ada, sha256: \"%064d\", user: ada}\n", 7) // of nothing that anybody knows
	for name, text := range map[string]string{"sluice.yaml": config, "keys.yaml": keys} {
		if err := os.WriteFile(p.file(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p.cmd = exec.Command(binary, "run", "-c", p.file("sluice.yaml"))
	out, err := p.cmd.StderrPipe()
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	go p.watch(out) // ends with the process
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.exited
	})
	for p.web == "" || p.probes == "" {
		line := p.next(t)
		if line["msg"] == "listening" {
			switch {
			case line["listener"] == "web":
				p.web, _ = line["address"].(string)
			case line["component"] == "probes":
				p.probes, _ = line["address"].(string)
			}
		}
	}
	return p
}

func (p *proxy) file(name string) string { return filepath.Join(p.dir, name) }

func (p *proxy) watch(out io.Reader) {
	in := bufio.NewScanner(out)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		select {
		case p.lines <- in.Text():
		default: // nobody waits for what the log says any more
		}
	}
	close(p.lines)
	_ = p.cmd.Wait()
	close(p.exited)
}

// next is the next record of the log.
func (p *proxy) next(t *testing.T) map[string]any {
	t.Helper()
	select {
	case line, ok := <-p.lines:
		if !ok {
			t.Fatal("the process is gone")
		}
		record := map[string]any{}
		_ = json.Unmarshal([]byte(line), &record) // what is no JSON has no message
		return record
	case <-time.After(patience):
		t.Fatalf("no line of the log within %v", patience)
	}
	return nil
}

// await waits for a message that begins so.
func (p *proxy) await(t *testing.T, prefix string) {
	t.Helper()
	last := ""
	for limit := time.Now().Add(patience); time.Now().Before(limit); {
		record := p.next(t)
		if msg, _ := record["msg"].(string); strings.HasPrefix(msg, prefix) {
			return
		}
		last = fmt.Sprint(record)
	}
	t.Fatalf("no %q in the log within %v; the last is %s", prefix, patience, last)
}

// upstream answers as sites with a login do.
func (p *proxy) upstream(t *testing.T) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/away":
			http.Redirect(w, r, "http://login.example.com/", http.StatusFound)
		case "/here":
			http.Redirect(w, r, "/login", http.StatusFound)
		case "/login":
			fmt.Fprintln(w, "who are you?")
		case "/held":
			p.arrived <- struct{}{}
			<-p.release
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// allow puts a policy in force that sends everything to an upstream but /private, where a key is needed that nobody has.
func (p *proxy) allow(t *testing.T, upstream string) {
	t.Helper()
	policy := fmt.Sprintf(`clusters: {app: {endpoints: [%q]}}
routes:
- {name: open, path: {prefix: /}, cluster: app, policy: [{allow: {and: [{accept: true}]}}]}
- {name: private, path: {prefix: /private}, cluster: app, authenticate: [api_key], policy: [{allow: {and: [{authenticated_user: true}]}}]}
`, strings.TrimPrefix(upstream, "http://"))
	name := filepath.Join(p.dir, "policy", "main.yaml")
	if err := os.WriteFile(name+".new", []byte(policy), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		t.Fatal(err)
	}
}

// sluice runs a command of the product.
func (p *proxy) sluice(t *testing.T, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if out, err := exec.CommandContext(ctx, binary, append(args, "-c", p.file("sluice.yaml"))...).CombinedOutput(); err != nil {
		t.Fatalf("sluice %v: %v\n%s", args, err, out)
	}
}

// hold begins a request that lasts until release is closed; the test waits for its end.
func (p *proxy) hold(t *testing.T) (done chan error) {
	t.Helper()
	done = make(chan error, 1)
	c, err := net.DialTimeout("tcp", p.web, patience)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(4 * patience))
	go func() { // ends with the answer, or the deadline
		defer c.Close()
		if _, err := io.WriteString(c, "GET /held HTTP/1.1\r\nHost: app.example.com\r\n\r\n"); err != nil {
			done <- err
			return
		}
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err == nil && resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("status %d", resp.StatusCode)
		}
		done <- err
	}()
	select {
	case <-p.arrived:
	case <-time.After(patience):
		t.Fatal("the request did not arrive")
	}
	return done
}
