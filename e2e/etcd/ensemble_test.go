package etcd

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/sluiceproxy/sluice/internal/etcd"
)

// patience bounds every wait. No test passes by using it up: the machine may be busy.
const patience = 3 * time.Minute

// ensemble is three servers. Members reach each other through relays, and so do clients of the tests, but for the publisher.
type ensemble struct {
	members []*member
	direct  *clientv3.Client // past the relays
}

type member struct {
	name, dir    string
	client, peer string // its own ports
	peers        *relay // how the others reach it
	clients      *relay // how replicas reach it
	id           string // in hexadecimal, as its peers write it
	args         []string
	process      *exec.Cmd
}

// port is free now. The servers cannot say which they took if they were given 0.
func port(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// startEnsemble starts three servers of which each keeps at most quota bytes; 0: the default.
func startEnsemble(t *testing.T, quota int) *ensemble {
	t.Helper()
	e := &ensemble{}
	var cluster, endpoints []string
	for i := range 3 {
		m := &member{name: fmt.Sprint("m", i), dir: filepath.Join(t.TempDir(), "data"), client: port(t), peer: port(t)}
		m.peers, m.clients = newRelay(t, m.peer, true), newRelay(t, m.client, false)
		cluster = append(cluster, m.name+"=http://"+m.peers.address())
		endpoints = append(endpoints, m.client)
		e.members = append(e.members, m)
	}
	for _, m := range e.members {
		m.args = []string{"-name", m.name, "-dir", m.dir, "-client", "http://" + m.client, "-peer", "http://" + m.peer,
			"-advertise", "http://" + m.peers.address(), "-cluster", strings.Join(cluster, ","), "-quota", fmt.Sprint(quota)}
	}
	t.Cleanup(func() {
		for _, m := range e.members {
			m.kill()
		}
	})
	e.startAll(t)
	var err error
	if e.direct, err = clientv3.New(clientv3.Config{Endpoints: endpoints, Logger: zap.NewNop()}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.direct.Close() })
	eventually(t, "the members know each other", func(ctx context.Context) error {
		r, err := e.direct.MemberList(ctx)
		if err != nil {
			return err
		}
		for _, known := range r.Members {
			for _, m := range e.members {
				if m.name == known.Name {
					m.id = fmt.Sprintf("%x", known.ID)
				}
			}
		}
		return nil
	})
	return e
}

// startAll starts whoever does not run, and waits until all are ready.
func (e *ensemble) startAll(t *testing.T) {
	t.Helper()
	var waits []func()
	for _, m := range e.members {
		if m.process == nil {
			waits = append(waits, m.start(t))
		}
	}
	for _, wait := range waits {
		wait()
	}
}

// start starts a member; wait returns when it is ready.
func (m *member) start(t *testing.T) (wait func()) {
	t.Helper()
	cmd := exec.Command(built.member, m.args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	m.process = cmd
	ready := make(chan string, 1)
	go func() { // ends with the process
		line, _ := bufio.NewReader(out).ReadString('\n')
		ready <- line
	}()
	return func() {
		t.Helper()
		select {
		case line := <-ready:
			if line != "ready\n" {
				t.Fatalf("member %s: %q", m.name, line)
			}
		case <-time.After(patience):
			t.Fatalf("member %s is not ready", m.name)
		}
	}
}

// kill ends a member as kill -9 does.
func (m *member) kill() {
	if m.process != nil {
		_ = m.process.Process.Kill()
		_ = m.process.Wait()
		m.process = nil
	}
}

// leader is the member that leads.
func (e *ensemble) leader(t *testing.T) (leader *member) {
	t.Helper()
	eventually(t, "there is a leader", func(ctx context.Context) error {
		for _, m := range e.members {
			r, err := e.direct.Status(ctx, m.client)
			if err != nil {
				continue
			}
			for _, of := range e.members {
				if r.Leader != 0 && of.id == fmt.Sprintf("%x", r.Leader) {
					leader = of
					return nil
				}
			}
		}
		return fmt.Errorf("nobody leads")
	})
	return leader
}

// part keeps a member from the others, in both directions; nil ends that.
func (e *ensemble) part(from *member) {
	for _, m := range e.members {
		switch from {
		case nil:
			m.peers.cut(nil)
		case m:
			m.peers.cut(func(string) bool { return true })
		default:
			m.peers.cut(func(id string) bool { return id == from.id })
		}
	}
}

// open is a client as replicas have it.
func (e *ensemble) open(t *testing.T) *etcd.Client {
	t.Helper()
	c, err := etcd.Open(etcd.Config{Endpoints: e.endpoints()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// endpoints are those of the relays for clients.
func (e *ensemble) endpoints() (list []string) {
	for _, m := range e.members {
		list = append(list, m.clients.address())
	}
	return list
}

// eventually tries until it works.
func eventually(t *testing.T, what string, try func(context.Context) error) {
	t.Helper()
	for late := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		err := try(ctx)
		cancel()
		if err == nil {
			return
		}
		if time.Now().After(late) {
			t.Fatalf("never: %s: %v", what, err)
		}
	}
}
