package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// nodeClient is a folder with ws from npm and our script beside it.
func nodeClient(t *testing.T) (script string) {
	t.Helper()
	if !heavy() {
		t.Skip("it loads a package of npm: make heavy")
	}
	dir := t.TempDir()
	do(t, "npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", dir, "ws@8")
	script = filepath.Join(dir, "client.js")
	write(t, script, read(t, "ws/client.js"))
	return script
}

// nodeEnd is how one WebSocket of it ended.
type nodeEnd struct {
	Socket, Code, Sent, Got int
	Reason, Fault           string
}

// TestNodeWS: each socket of the usual library for Node gets one whole Close at a stop, and all that it sent arrives.
func TestNodeWS(t *testing.T) {
	script := nodeClient(t)
	veil, certs := secure(t, "")
	for name, c := range map[string]setup{"ws": {}, "wss": veil} {
		t.Run(name, func(t *testing.T) {
			const n = 20
			up := newSockets(t)
			c.policy, c.drain = up.policy(""), "{timeout: 8s, idle_close: 500ms}"
			s := serve(t, nil, c)
			args := []string{script, name + "://" + s.web + "/node", fmt.Sprint(n)}
			if name == "wss" {
				args = append(args, filepath.Join(certs, "edge.crt"))
			}
			ends := nodeEnds(t, n, func() { s.signal(t, syscall.SIGTERM) }, args...)
			if code := s.exit(t, patience); code != 0 {
				t.Errorf("exit code %d", code)
			}
			_ = up.ln.Close()
			up.running.Wait()
			sent := 0
			for _, e := range ends {
				server := up.server("/node", e.Socket)
				if e.Fault != "" || e.Code != 1001 || !strings.Contains(e.Reason, "retry-after=") || server.err != nil || server.code != 1001 || int(server.read) != e.Sent {
					t.Errorf("%+v; its server heard %d, %v, and %d messages", e, server.code, server.err, server.read)
				}
				sent += e.Sent
			}
			t.Logf("%d sockets, %d messages, each with its Close", len(ends), sent)
		})
	}
}

// nodeEnds runs the script until all its sockets have ended; stop is called when all are open.
func nodeEnds(t *testing.T, n int, stop func(), args ...string) (ends []nodeEnd) {
	t.Helper()
	cmd := exec.Command(tool(t, "node"), args...)
	var faults strings.Builder
	cmd.Stderr = &faults
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	limit := time.AfterFunc(2*patience, func() { _ = cmd.Process.Kill() })
	defer limit.Stop()
	for in := bufio.NewScanner(out); in.Scan(); {
		if in.Text() == "open" {
			time.AfterFunc(200*time.Millisecond, stop) // a while in which all of them talk
			continue
		}
		var e nodeEnd
		if err := json.Unmarshal(in.Bytes(), &e); err != nil {
			t.Fatalf("%v in %q", err, in.Text())
		}
		ends = append(ends, e)
	}
	if err := cmd.Wait(); err != nil || len(ends) != n {
		t.Fatalf("%d of %d sockets ended, %v\n%s", len(ends), n, err, faults.String())
	}
	return ends
}
