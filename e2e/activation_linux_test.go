package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// Socket activation: LISTEN_FDS from a supervisor that keeps the sockets.

// house starts a proxy with the sockets.
func (a *activated) house(t *testing.T, c setup) *house {
	t.Helper()
	c.web, c.raw = a.addrs["web"], a.addrs["raw"]
	if c.extra == "" {
		c.extra = quick
	}
	h := &house{sluice: &sluice{dir: prepare(t, c)}, program: built.sluice}
	h.launch(t, a.command(h.program, h.args()...), append(a.env(), c.env...))
	if h.web != a.addrs["web"] || h.raw != a.addrs["raw"] {
		t.Fatalf("it listens at %s and %s, not at the sockets that it was given", h.web, h.raw)
	}
	return h
}

// shed leaves a filter on a socket that drops SYNs, as an owner does who dies between
// shedding and closing.
func (a *activated) shed(t *testing.T, name string) {
	t.Helper()
	// The flags of a TCP head are its byte 13; SYN without ACK is dropped.
	filter := []syscall.SockFilter{
		{Code: syscall.BPF_LD | syscall.BPF_B | syscall.BPF_ABS, K: 13},
		{Code: syscall.BPF_ALU | syscall.BPF_AND | syscall.BPF_K, K: 0x17},
		{Code: syscall.BPF_JMP | syscall.BPF_JEQ | syscall.BPF_K, K: 0x02, Jf: 1},
		{Code: syscall.BPF_RET | syscall.BPF_K, K: 0},
		{Code: syscall.BPF_RET | syscall.BPF_K, K: 0xffffffff},
	}
	for i, n := range a.names {
		if n == name {
			if err := syscall.AttachLsf(int(a.files[i].Fd()), filter); err != nil {
				t.Skip("no socket filters here:", err)
			}
		}
	}
}

// queue dials n times and sends a request on each; nobody need be there to accept.
func queue(t *testing.T, addr string, n int) (all []*wire) {
	t.Helper()
	for i := range n {
		w, err := connect(addr, patience)
		if err == nil {
			_, err = w.Write([]byte(get(fmt.Sprintf("/queued/%d", i))))
		}
		if err != nil {
			t.Fatalf("with nobody running: %v", err)
		}
		t.Cleanup(func() { _ = w.Close() })
		all = append(all, w)
	}
	return all
}

// served asserts that each got its answer.
func served(t *testing.T, queued []*wire) {
	t.Helper()
	for i, w := range queued {
		if a, err := w.read("GET"); err != nil || a.status != 200 {
			t.Errorf("queued %d: %d %v", i, a.status, err)
		}
	}
}

// TestG8Activation: between a stop, or a kill, and the next start the kernel queues, and the
// next start serves who waited. A stop sheds no SYN of a socket that is not its own alone.
func TestG8Activation(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	a := activate(t, "web", "raw")
	c := setup{policy: policyFor(up.web, up.raw, "v1")}
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		h := a.house(t, c)
		if r, err := once(h.web, get("/alive", "Connection: close")); err != nil || r.status != 200 {
			t.Fatalf("%d %v", r.status, err)
		}
		h.signal(t, sig)
		h.exit(t, patience)
		if sig == syscall.SIGTERM && h.find(msg("listener left to who else holds it")) == nil {
			t.Error("a socket of the supervisor was closed as if it were ours alone")
		}
		queued := queue(t, a.addrs["web"], 10)
		next := a.house(t, c)
		served(t, queued)
		next.stop(t)
	}
}

// TestG8FirstSYNAfterAKill: the former owner died between shed and close (an old build, or
// another program). The next start serves its first SYN.
func TestG8FirstSYNAfterAKill(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	a := activate(t, "web", "raw")
	a.shed(t, "web")
	if w, err := connect(a.addrs["web"], 300*1e6); err == nil {
		_ = w.Close()
		t.Fatal("the filter does nothing: the test shows nothing")
	}
	h := a.house(t, setup{policy: policyFor(up.web, up.raw, "v1")})
	w, err := connect(a.addrs["web"], 900*1e6) // less than the second after which a dropped SYN is sent again
	if err != nil {
		t.Fatalf("the first SYN was not heard: %v", err)
	}
	defer w.Close()
	if r, err := w.ask(get("/first")); err != nil || r.status != 200 {
		t.Errorf("%d %v", r.status, err)
	}
	h.stop(t)
}

// TestG8ActivationUnderLoad: upgrades of a proxy whose sockets are a supervisor's.
func TestG8ActivationUnderLoad(t *testing.T) {
	up := newUpstream(t)
	a := activate(t, "web", "raw")
	h := a.house(t, setup{policy: policyFor(up.web, up.raw, "v1")})
	c := h.gather(t)
	for i := range 3 {
		if out, code := h.upgrade(t); code != 0 {
			t.Fatalf("upgrade %d: exit %d: %s", i+1, code, out)
		}
		c.more(t, 100)
	}
	c.unharmed(t)
	h.stop(t)
	queued := queue(t, a.addrs["web"], 5) // the socket is open still, and not deaf
	next := a.house(t, setup{policy: policyFor(up.web, up.raw, "v1")})
	served(t, queued)
	next.stop(t)
}

// TestG8WrongSocket: a supervisor's socket that does not fit is a fault to repair, not
// something to serve beside.
func TestG8WrongSocket(t *testing.T) {
	t.Parallel()
	a := activate(t, "web")
	dir := prepare(t, setup{policy: policyFor("127.0.0.1:1", "127.0.0.1:1", "v1"), web: "127.0.0.1:1"})
	cmd := a.command(built.sluice, "run", "--config", filepath.Join(dir, "sluice.yaml"))
	cmd.Env = append(os.Environ(), a.env()...)
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "make ListenStream= and the configuration agree") {
		t.Errorf("%v: %s", err, out)
	}
}

// TestG8SocketActivateTool starts the proxy by the tool of systemd, on the first connection.
func TestG8SocketActivateTool(t *testing.T) {
	t.Parallel()
	tool, err := exec.LookPath("systemd-socket-activate")
	if err != nil {
		t.Skip("no systemd-socket-activate here")
	}
	up := newUpstream(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	_ = ln.Close()
	h := &house{sluice: &sluice{dir: prepare(t, setup{policy: policyFor(up.web, up.raw, "v1"), web: addr})}}
	cmd := exec.Command(tool, append([]string{"--listen=" + addr, "--fdname=web", built.sluice}, h.args()...)...)
	h.process = launchLogged(t, cmd, nil, false)
	var w *wire
	eventually(t, "the tool listens", func() bool {
		w, err = connect(addr, patience)
		return err == nil
	})
	defer w.Close()
	if r, err := w.ask(get("/activated")); err != nil || r.status != 200 {
		t.Errorf("%d %v", r.status, err)
	}
	h.signal(t, syscall.SIGTERM)
	h.exit(t, patience)
}

// keeper is systemd with a descriptor store: it hears notifications and keeps what comes
// with FDSTORE=1.
type keeper struct {
	path string
	conn *net.UnixConn

	mu    sync.Mutex // guards what follows
	heard []string
	store map[string]*os.File
}

func newKeeper(t *testing.T) *keeper {
	t.Helper()
	k := &keeper{path: filepath.Join(t.TempDir(), "notify"), store: map[string]*os.File{}}
	var err error
	if k.conn, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: k.path, Net: "unixgram"}); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); k.listen() }() // ends when conn is closed
	t.Cleanup(func() {
		_ = k.conn.Close()
		<-done
		for _, f := range k.store {
			_ = f.Close()
		}
		if t.Failed() {
			t.Logf("systemd heard %q", k.heard)
		}
	})
	return k
}

func (k *keeper) listen() {
	text, oob := make([]byte, 4096), make([]byte, 256)
	for {
		n, oobn, _, _, err := k.conn.ReadMsgUnix(text, oob)
		if err != nil {
			return
		}
		lines := strings.Split(string(text[:n]), "\n")
		k.mu.Lock()
		k.heard = append(k.heard, lines...)
		if name, ok := strings.CutPrefix(lines[len(lines)-1], "FDNAME="); ok {
			k.keep(lines[0], name, oob[:oobn])
		}
		k.mu.Unlock()
	}
}

// keep stores or forgets a descriptor. With mu held.
func (k *keeper) keep(what, name string, oob []byte) {
	if old := k.store[name]; old != nil {
		_ = old.Close()
		delete(k.store, name)
	}
	if what != "FDSTORE=1" {
		return
	}
	messages, _ := syscall.ParseSocketControlMessage(oob)
	for _, m := range messages {
		if fds, err := syscall.ParseUnixRights(&m); err == nil && len(fds) == 1 {
			k.store[name] = os.NewFile(uintptr(fds[0]), name)
		}
	}
}

// stored returns what is kept, as a start is given it.
func (k *keeper) stored() *activated {
	k.mu.Lock()
	defer k.mu.Unlock()
	a := &activated{}
	for name, f := range k.store {
		a.names, a.files = append(a.names, name), append(a.files, f)
	}
	return a
}

func (k *keeper) has(line string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, l := range k.heard {
		if strings.HasPrefix(l, line) {
			return true
		}
	}
	return false
}

func (k *keeper) env() []string { return []string{"NOTIFY_SOCKET=" + k.path, "FDSTORE=8"} }

// TestG8DescriptorStore: under a systemd that keeps descriptors, kill -9 loses nobody who is
// queued, and the next start serves them from the same socket. The successor of an upgrade
// is what systemd then follows.
func TestG8DescriptorStore(t *testing.T) {
	t.Parallel()
	up, k := newUpstream(t), newKeeper(t)
	h := serveHouse(t, up, setup{env: k.env()})
	eventually(t, "every socket is stored", func() bool { return len(k.stored().names) == 3 })
	if out, code := h.upgrade(t); code != 0 {
		t.Fatalf("exit %d: %s", code, out)
	}
	pid, _ := h.current(t)
	eventually(t, "systemd knows the main process", func() bool { return k.has(fmt.Sprintf("MAINPID=%d", pid)) })
	if k.has("STOPPING=1") {
		t.Error("systemd heard of a stop of the service")
	}
	freeze(t, pid)
	queued := queue(t, h.web, 10)
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	h.exit(t, patience)
	a := k.stored()
	if len(a.names) != 3 {
		t.Fatalf("systemd keeps %q", a.names)
	}
	addr := h.web
	h.launch(t, a.command(h.program, h.args()...), append(k.env(), a.env()...))
	if h.web != addr {
		t.Fatalf("it listens at %s, not at %s", h.web, addr)
	}
	served(t, queued)
	h.signal(t, syscall.SIGTERM)
	h.exit(t, patience)
	eventually(t, "systemd hears of the stop", func() bool { return k.has("STOPPING=1") })
}
