package e2e

import (
	"errors"
	"fmt"

	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// replica is one of several that people reach by one name.
type replica struct {
	mu sync.RWMutex // held to read by who is about to ask it, and to write while it is replaced
	s  *sluice      // nil: it is not there
}

// visitor is somebody who has logged in and comes again and again, now to one replica and now to another.
type visitor struct {
	*person
	asked, renewed int
	lost           []string
}

// visit comes once; false: nobody was there, and the balancer would have asked another.
func (v *visitor) visit(r *replica) bool {
	r.mu.RLock()
	s := r.s
	r.mu.RUnlock()
	if s == nil {
		return false
	}
	v.at = s
	resp, err := v.Get(loginHost + "/eng")
	if errors.Is(err, syscall.ECONNREFUSED) {
		return false
	}
	if err != nil {
		v.lost = append(v.lost, err.Error())
		return true
	}
	_ = resp.Body.Close()
	v.asked++
	for _, c := range resp.Cookies() {
		if strings.HasPrefix(c.Name, "__Host-sluice_oidc") && c.MaxAge > 0 {
			v.renewed++
		}
	}
	if resp.StatusCode != 200 {
		v.lost = append(v.lost, fmt.Sprintf("%d %s", resp.StatusCode, resp.Header.Get("X-Sluice-Reason")))
	}
	return true
}

// TestSessionsOutliveRestarts: replicas are restarted one after the other, and the keys rotate meanwhile; nobody has to log in again. With
// make heavy it is a hundred restarts.
func TestSessionsOutliveRestarts(t *testing.T) {
	t.Parallel()
	restarts, people := 4, 8
	if heavy() {
		restarts, people = 100, 20
	}
	up, idp, state := newUpstream(t), newLoginProvider(t), t.TempDir()+"/state"
	var replicas [2]*replica
	var setups [2]setup
	for i := range replicas {
		setups[i] = loginSetup(t, up, idp.server.URL, state)
		setups[i].web = freeAddress(t)
		setups[i].extra = "start: {mode: hold}" // no balancer in front waits until it is ready
		s := serve(t, up, setups[i])
		if i == 0 { // the other knows it from the disk
			awaitProvider(t, s)
		}
		replicas[i] = &replica{s: s}
	}
	var visitors []*visitor
	for range people {
		v := &visitor{person: newPerson(t, replicas[0].s)}
		if in := v.follow(v.ask(loginHost+"/eng", nil)); in.status != 200 {
			t.Fatalf("logging in: %d %s", in.status, in.body)
		}
		visitors = append(visitors, v)
	}
	var over atomic.Bool
	var running sync.WaitGroup
	defer func() { over.Store(true); running.Wait() }()
	for i, v := range visitors {
		running.Go(func() { // ends when over is set
			for n := i; !over.Load(); n++ {
				if !v.visit(replicas[n%2]) {
					v.visit(replicas[(n+1)%2])
				}
				time.Sleep(10 * time.Millisecond) // somebody thinks
			}
		})
	}
	ring := state + "/session.keys"
	old := read(t, ring)
	next, code := command(t, "session", "keygen")
	if code != 0 {
		t.Fatal(next)
	}
	for i := range restarts {
		switch i { // as docs/sessions.md says
		case restarts / 4:
			write(t, ring, old+next)
		case restarts / 2:
			write(t, ring, next+old)
		}
		restartReplica(t, up, replicas[i%2], setups[i%2])
	}
	over.Store(true)
	running.Wait()
	asked, renewed, lost := 0, 0, 0
	for i, v := range visitors {
		asked, renewed, lost = asked+v.asked, renewed+v.renewed, lost+len(v.lost)
		if len(v.lost) > 0 {
			t.Errorf("visitor %d: %d of %d visits went wrong: %.300q", i, len(v.lost), v.asked, v.lost)
		}
	}
	t.Logf("%d restarts, %d visits of %d people, %d cookies renewed, %d visits without their session", restarts, asked, people, renewed, lost)
	if asked < restarts*people {
		t.Errorf("only %d visits: the test looks at nothing", asked)
	}
	if heavy() && renewed < people { // the new key seals a while after it came first
		t.Errorf("only %d cookies were renewed under the new key", renewed)
	}
	for _, r := range replicas {
		r.s.signal(t, syscall.SIGTERM)
		r.s.exit(t, patience)
	}
}

// restartReplica stops a replica as a deployment does, and starts another at its address.
func restartReplica(t *testing.T, up *upstream, r *replica, c setup) {
	t.Helper()
	r.s.signal(t, syscall.SIGTERM)
	if code := r.s.exit(t, patience); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	r.mu.Lock()
	r.s = nil
	r.mu.Unlock()
	s := serve(t, up, c)
	r.mu.Lock()
	r.s = s
	r.mu.Unlock()
}
