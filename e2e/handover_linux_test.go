package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// house is a proxy that is upgraded: a line of processes behind one set of addresses.
type house struct {
	*sluice
	program string // the path that is upgraded
}

// quick are times of an upgrade that a test can wait for.
const quick = "upgrade: {ready_timeout: 10s, take_back: 300ms}"

// serveHouse starts the first generation from a program of its own.
func serveHouse(t *testing.T, up *upstream, c setup) *house {
	t.Helper()
	if c.policy == "" {
		c.policy = policyFor(up.web, up.raw, "v1")
	}
	if c.extra == "" {
		c.extra = quick
	}
	h := &house{sluice: &sluice{dir: prepare(t, c)}}
	h.program = h.file("program")
	install(t, built.sluice, h.program)
	h.launch(t, exec.Command(h.program, h.args()...), c.env)
	return h
}

func (h *house) args() []string {
	return []string{"run", "--config", h.file("sluice.yaml"), "--receipt", h.file("receipt.json")}
}

// launch starts a generation that is nobody's successor.
func (h *house) launch(t *testing.T, cmd *exec.Cmd, env []string) {
	t.Helper()
	h.process = launchLogged(t, cmd, env, false)
	p := h.process
	t.Cleanup(func() { // before the log is closed: whoever writes to it still
		for _, pid := range p.pids() {
			// Its number may be another process's by now.
			if exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); err == nil && strings.HasPrefix(exe, h.dir) {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	})
	h.web, h.raw = h.listening(t, "listener", "web"), h.listening(t, "listener", "raw")
	h.probes = h.listening(t, "component", "probes")
	h.await(t, "serving", msg("serving"))
}

// install puts a program at a path in one step, under a new inode.
func install(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer text.Close()
	place(t, text, to, 0o755)
}

// place writes a program by another process: while one of ours has it open for writing, any
// child that is being started has it open too for a moment, and then it cannot be run (ETXTBSY).
func place(t *testing.T, text io.Reader, to string, mode os.FileMode) {
	t.Helper()
	cmd := exec.Command("sh", "-c", `cat >"$1"`, "sh", to+".new")
	cmd.Stdin = text
	out, err := cmd.CombinedOutput()
	if err == nil {
		err = os.Chmod(to+".new", mode)
	}
	if err == nil {
		err = os.Rename(to+".new", to)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// pids are the processes that ever wrote to the log, in the order of their start.
func (p *process) pids() (pids []int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.records {
		if n, ok := r["pid"].(float64); ok && (r.str("msg") == "sluice" || r.str("msg") == "upgrade: the successor starts") {
			pids = append(pids, int(n))
		}
	}
	return pids
}

// upgrade runs `sluice upgrade` to its end.
func (h *house) upgrade(t *testing.T) (out string, code int) {
	t.Helper()
	return h.cli(t, "upgrade", "-c", h.file("sluice.yaml"))
}

// current is who answers, from its status.
func (h *house) current(t *testing.T) (pid, generation int) {
	t.Helper()
	s := h.status(t)
	p, _ := s["pid"].(float64)
	g, _ := s["generation"].(float64)
	return int(p), int(g)
}

// stop ends the one that serves and returns when nobody of the line is left.
func (h *house) stop(t *testing.T) {
	t.Helper()
	pid, _ := h.current(t)
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	h.exit(t, patience)
}

// receipts are the accounts in the log.
func (p *process) receipts(t *testing.T) (all []receipt) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.records {
		if r.str("msg") != "receipt" {
			continue
		}
		text, err := json.Marshal(r["receipt"])
		var one receipt
		if err == nil {
			err = json.Unmarshal(text, &one)
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, one)
	}
	return all
}

// crowd is a mixed load with what it saw.
type crowd struct {
	*ledger
	quit    chan struct{}
	wait    []func()
	watcher *watcher
	once    sync.Once
}

// gather starts clients of every kind, and somebody who probes.
func (h *house) gather(t *testing.T) *crowd {
	t.Helper()
	c := &crowd{ledger: newLedger(), quit: make(chan struct{}), watcher: watch(h.probes)}
	c.wait = []func(){
		clients(12, h.web, c.ledger, c.quit, keepAlivePosts),
		clients(12, h.web, c.ledger, c.quit, getsOfTheirOwn),
		clients(4, h.web, c.ledger, c.quit, upgradedEchoes),
		clients(4, h.raw, c.ledger, c.quit, rawEchoes),
	}
	t.Cleanup(c.disperse)
	c.warm(t, 300)
	return c
}

// tunnels are some of each kind that reach beyond what comes next.
func (h *house) tunnels(t *testing.T) *crowd {
	t.Helper()
	c := &crowd{ledger: newLedger(), quit: make(chan struct{}), watcher: watch(h.probes)}
	c.wait = []func(){clients(2, h.web, c.ledger, c.quit, upgradedEchoes), clients(2, h.raw, c.ledger, c.quit, rawEchoes)}
	t.Cleanup(c.disperse)
	c.warm(t, 8)
	return c
}

// disperse ends the load. It may be called again.
func (c *crowd) disperse() {
	c.once.Do(func() {
		c.told.Store(true) // tunnels go past their middle, and end
		close(c.quit)
		for _, wait := range c.wait {
			wait()
		}
		c.watcher.stop()
	})
}

// more waits for n more exchanges: the service goes on.
func (c *crowd) more(t *testing.T, n int) {
	t.Helper()
	want := c.total() + n
	eventually(t, fmt.Sprintf("%d more exchanges", n), func() bool { return c.total() >= want })
}

// unharmed asserts that nobody lost anything, was refused, or was told of unreadiness.
func (c *crowd) unharmed(t *testing.T) {
	t.Helper()
	c.disperse()
	if len(c.lost) > 0 || len(c.wrong) > 0 || c.refused > 0 {
		t.Errorf("of %d: %d lost %q, %d wrong %q, %d refused", c.done, len(c.lost), c.lost, len(c.wrong), c.wrong, c.refused)
	}
	if len(c.watcher.faults) > 0 {
		t.Errorf("%d of %d probes: %q", len(c.watcher.faults), c.watcher.asked, c.watcher.faults)
	}
}

// watcher asks /readyz again and again, on new connections and on one that it keeps.
type watcher struct {
	quit   chan struct{}
	done   chan struct{} // closed by run
	asked  int           // owned by run until done
	faults []string      // the same
}

func watch(addr string) *watcher {
	w := &watcher{quit: make(chan struct{}), done: make(chan struct{})}
	go w.run(addr) // ends with quit
	return w
}

func (w *watcher) run(addr string) {
	defer close(w.done)
	fresh := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	keeping := &http.Transport{}
	defer keeping.CloseIdleConnections()
	kept := http.Client{Timeout: patience, Transport: keeping}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		for name, client := range map[string]*http.Client{"new": &fresh, "kept": &kept} {
			w.asked++
			resp, err := client.Get("http://" + addr + "/readyz")
			if err != nil {
				w.faults = append(w.faults, name+": "+err.Error())
				continue
			}
			body, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				w.faults = append(w.faults, fmt.Sprintf("%s: %d %s", name, resp.StatusCode, body))
			}
		}
		select {
		case <-tick.C:
		case <-w.quit:
			return
		}
	}
}

func (w *watcher) stop() {
	close(w.quit)
	<-w.done
}

// freeze stops a process so that it accepts nothing, and returns when it has stopped.
func freeze(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "every thread has stopped", func() bool {
		stats, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		for _, name := range stats {
			text, err := os.ReadFile(name)
			_, rest, _ := strings.Cut(string(text), ") ")
			if err != nil || !strings.HasPrefix(rest, "T") {
				return false
			}
		}
		return len(stats) > 0
	})
}

// stillborn builds the successors that fail.
func stillborn(t *testing.T) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "stillborn")
	if out, err := exec.Command("go", "build", "-o", to, "./stillborn").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return to
}

// activated is a listening socket of a supervisor that starts the proxy with it.
type activated struct {
	names []string
	files []*os.File
	addrs map[string]string
}

// activate binds sockets for listeners by name.
func activate(t *testing.T, names ...string) *activated {
	t.Helper()
	a := &activated{addrs: map[string]string{}}
	for _, name := range names {
		lc := net.ListenConfig{}
		lc.SetMultipathTCP(false)
		ln, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		f, err := ln.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		a.addrs[name] = ln.Addr().String()
		_ = ln.Close() // the file is another descriptor of the socket
		t.Cleanup(func() { _ = f.Close() })
		a.names, a.files = append(a.names, name), append(a.files, f)
	}
	return a
}

// command starts program with the sockets, as systemd would.
func (a *activated) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, append([]string{"listen-exec", "--", program}, args...)...)
	cmd.ExtraFiles = a.files
	return cmd
}

func (a *activated) env() []string {
	names := ""
	for i, n := range a.names {
		if i > 0 {
			names += ":"
		}
		names += n
	}
	return []string{fmt.Sprintf("LISTEN_FDS=%d", len(a.files)), "LISTEN_FDNAMES=" + names}
}
