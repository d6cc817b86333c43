package etcd

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// replica is a running proxy under a light load, whose readiness is watched.
type replica struct {
	name        string
	web, probes string
	cmd         *exec.Cmd

	mu      sync.Mutex // guards what follows
	log     []map[string]any
	grown   chan struct{}        // closed and replaced when a record comes
	served  int                  // requests of the load
	failed  []string             // what went wrong with them, and with readiness once it was there
	inForce map[string]time.Time // when each version came into force, by hash
}

// startReplica starts a proxy whose policy comes from etcd. It returns when its listeners are bound.
func startReplica(t *testing.T, name string, endpoints []string, keys string) *replica {
	t.Helper()
	return startReplicaOf(t, name, "source: etcd, keys_file: "+strconv.Quote(keys),
		fmt.Sprintf(`etcd: {endpoints: ["%s"], request_timeout: 3s, dial_timeout: 1s}`, strings.Join(endpoints, `", "`)))
}

// startReplicaOf is startReplica for a source of policies; more is for the rest of the configuration.
func startReplicaOf(t *testing.T, name, source, more string) *replica {
	t.Helper()
	dir := t.TempDir()
	text := fmt.Sprintf(`version: 1
listeners: [{name: web, address: "127.0.0.1:0"}]
policy: {%s, poll: 2s, state_dir: %q}
probes: {address: "127.0.0.1:0"}
admin: {address: "unix:%s"}
engine: {loops: 1}
log: {format: json, access: false}
%s
`, source, dir, filepath.Join(dir, "admin.sock"), more)
	file := filepath.Join(dir, "sluice.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r := &replica{name: name, grown: make(chan struct{}), inForce: map[string]time.Time{}}
	r.cmd = exec.Command(built.sluice, "run", "-c", file)
	out, err := r.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() { r.read(out); close(read) }() // ends with the process
	t.Cleanup(func() {
		_ = r.cmd.Process.Kill()
		<-read
		_ = r.cmd.Wait()
	})
	r.web = r.await(t, "listening", func(m map[string]any) bool { return m["msg"] == "listening" && m["listener"] == "web" })["address"].(string)
	r.probes = r.await(t, "probes", func(m map[string]any) bool { return m["msg"] == "listening" && m["component"] == "probes" })["address"].(string)
	return r
}

func (r *replica) read(out io.Reader) {
	in := bufio.NewScanner(out)
	in.Buffer(nil, 4<<20)
	for in.Scan() {
		var m map[string]any
		if json.Unmarshal(in.Bytes(), &m) != nil {
			m = map[string]any{"msg": in.Text()}
		}
		r.mu.Lock()
		r.log = append(r.log, m)
		if hash, ok := m["hash"].(string); ok && m["msg"] == "policy in force" {
			at, _ := time.Parse(time.RFC3339Nano, fmt.Sprint(m["time"]))
			r.inForce[hash] = at
		}
		close(r.grown)
		r.grown = make(chan struct{})
		r.mu.Unlock()
	}
}

// await returns the first record of the log that matches.
func (r *replica) await(t *testing.T, what string, match func(map[string]any) bool) map[string]any {
	t.Helper()
	late := time.After(patience)
	for {
		r.mu.Lock()
		grown := r.grown
		for _, m := range r.log {
			if match(m) {
				r.mu.Unlock()
				return m
			}
		}
		r.mu.Unlock()
		select {
		case <-grown:
		case <-late:
			r.mu.Lock()
			defer r.mu.Unlock()
			t.Fatalf("%s: no %s in %v", r.name, what, r.log[max(0, len(r.log)-8):])
		}
	}
}

// status is the answer to a request.
func status(client *http.Client, url string) int {
	resp, err := client.Get(url)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

func (r *replica) ready() bool {
	return status(&http.Client{Timeout: 30 * time.Second}, "http://"+r.probes+"/readyz") == 200
}

// load asks for /always, and whether the replica is ready, until the test is over. It starts when it is ready.
func (r *replica) load(t *testing.T, every time.Duration) {
	t.Helper()
	eventually(t, r.name+" is ready", func(context.Context) error {
		if !r.ready() {
			return fmt.Errorf("it is not")
		}
		return nil
	})
	stop := make(chan struct{})
	var done sync.WaitGroup
	for _, url := range []string{"http://" + r.web + "/always", "http://" + r.probes + "/readyz", "http://" + r.probes + "/livez"} {
		done.Go(func() { // ends with stop
			client := &http.Client{Timeout: time.Minute}
			defer client.CloseIdleConnections()
			for {
				select {
				case <-stop:
					return
				case <-time.After(every):
				}
				code := status(client, url)
				r.mu.Lock()
				if r.served++; code != 200 {
					r.failed = append(r.failed, fmt.Sprintf("%s: %d", url, code))
				}
				r.mu.Unlock()
			}
		})
	}
	t.Cleanup(func() { close(stop); done.Wait() })
}
