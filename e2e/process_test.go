package e2e

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait for something that should be there at once. It is long
// because the machine may be busy: no test passes by using it up.
const patience = 20 * time.Second

// record is one line of the log of a process.
type record map[string]any

func (r record) str(key string) string { s, _ := r[key].(string); return s }

// at is when the process wrote the record, by its own clock (the same machine's).
func (r record) at(t *testing.T) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, r.str("time"))
	if err != nil {
		t.Fatalf("time of a log record: %v", err)
	}
	return at
}

// process is a program under test with its log.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{} // closed by watch, after code and exitAt are set
	code   int
	exitAt time.Time

	mu      sync.Mutex // guards what follows
	records []record
	text    strings.Builder // what was no JSON: a panic, a usage error
	grown   chan struct{}   // closed and replaced when a record arrives
}

// launch starts a program, and ends it with the test if it has not ended by then.
func launch(t *testing.T, env []string, name string, args ...string) *process {
	t.Helper()
	return launchLogged(t, exec.Command(name, args...), env, false)
}

// launchLogged is launch; with access, the access log on standard output is read like the rest.
func launchLogged(t *testing.T, cmd *exec.Cmd, env []string, access bool) *process {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	name := cmd.Path
	p := &process{cmd: cmd, exited: make(chan struct{}), grown: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stderr = w
	if access {
		p.cmd.Stdout = w
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	go p.watch(r) // ends with the process
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.exited
		for _, sign := range []string{"DATA RACE", "panic:", "fatal error:", "BUG:"} {
			if strings.Contains(p.text.String(), sign) {
				t.Errorf("%s in the log of %s", sign, name)
			}
		}
		if t.Failed() {
			t.Logf("log of %s:\n%s", name, p.tail(60))
		}
	})
	return p
}

func (p *process) watch(r io.ReadCloser) {
	in := bufio.NewScanner(r)
	in.Buffer(nil, 4<<20)
	for in.Scan() {
		var rec record
		err := json.Unmarshal(in.Bytes(), &rec)
		p.mu.Lock()
		if err != nil {
			p.text.WriteString(in.Text() + "\n")
		} else {
			p.records = append(p.records, rec)
		}
		close(p.grown)
		p.grown = make(chan struct{})
		p.mu.Unlock()
	}
	_ = r.Close()
	_ = p.cmd.Wait()
	p.exitAt = time.Now()
	p.code = p.cmd.ProcessState.ExitCode()
	close(p.exited)
}

// find returns the first record that match accepts; nil if there is none.
func (p *process) find(match func(record) bool) record {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.records {
		if match(r) {
			return r
		}
	}
	return nil
}

// count says how many records match.
func (p *process) count(match func(record) bool) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.records {
		if match(r) {
			n++
		}
	}
	return n
}

// await waits for a record.
func (p *process) await(t *testing.T, what string, match func(record) bool) record {
	t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for {
		p.mu.Lock()
		grown := p.grown
		p.mu.Unlock()
		if rec := p.find(match); rec != nil {
			return rec
		}
		select {
		case <-grown:
		case <-p.exited:
			if rec := p.find(match); rec != nil {
				return rec
			}
			t.Fatalf("the process exited with %d before %s", p.code, what)
		case <-limit.C:
			t.Fatalf("no %s in the log after %v", what, patience)
		}
	}
}

// msg matches records by their message and the beginning of it.
func msg(prefix string) func(record) bool {
	return func(r record) bool { return strings.HasPrefix(r.str("msg"), prefix) }
}

// signal sends a signal and says when.
func (p *process) signal(t *testing.T, sig syscall.Signal) time.Time {
	t.Helper()
	at := time.Now()
	if err := p.cmd.Process.Signal(sig); err != nil {
		t.Fatalf("signal: %v", err)
	}
	return at
}

// exit waits for the end of the process and returns its exit code.
func (p *process) exit(t *testing.T, within time.Duration) int {
	t.Helper()
	limit := time.NewTimer(within)
	defer limit.Stop()
	select {
	case <-p.exited:
		return p.code
	case <-limit.C:
		t.Fatalf("still running after %v", within)
		return -1
	}
}

func (p *process) tail(n int) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var b strings.Builder
	for _, r := range p.records[max(0, len(p.records)-n):] {
		line, _ := json.Marshal(r)
		b.Write(line)
		b.WriteByte('\n')
	}
	b.WriteString(p.text.String())
	return b.String()
}

// eventually polls a condition of the world outside.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	limit := time.Now().Add(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		if time.Now().After(limit) {
			t.Fatalf("not within %v: %s", patience, what)
		}
		<-tick.C
	}
}
