package etcd

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// quota is all that the servers may keep: a disk that is soon full. It is not a disk: it is etcd's own limit, which raises the same alarm (NOSPACE).
const quota = 24 << 20

// The kill matrix. Three replicas are under a light load all the time: no request fails, none is unready or not live for a moment, none has a
// version in force that was not signed, none misses that a route was deleted, and all get to the newest version.
func TestKillMatrix(t *testing.T) {
	e := startEnsemble(t, quota)
	p := newPublisher(t, e, upstream(t))
	g := startGrounds(t, p, func(name string) *replica { return startReplica(t, name, e.endpoints(), p.keys) })
	g.play(t, []row{
		{"nothing", func(_ *testing.T, publish func()) { publish() }},
		{"leader killed", func(t *testing.T, publish func()) { e.leader(t).kill(); publish(); e.startAll(t) }},
		{"all killed and restarted", func(t *testing.T, publish func()) { p.killAll(t, e, publish) }},
		{"the leader parted from the others", func(t *testing.T, publish func()) { e.part(e.leader(t)); publish(); e.part(nil) }},
		{"compaction while disconnected", func(t *testing.T, publish func()) { p.compacted(t, e, publish) }},
		{"no space (quota)", func(t *testing.T, publish func()) { p.full(t, e, publish) }},
		{"slow: 100 ms for each piece to replicas, 10 ms among members", func(_ *testing.T, publish func()) {
			e.slow(100 * time.Millisecond)
			publish()
			p.converged(t, g.replicas)
			e.slow(0)
		}},
		{"a head that nobody signed", func(t *testing.T, publish func()) {
			p.forged(t, g.replicas, func(ctx context.Context, raw []byte) error {
				_, err := e.direct.Put(ctx, "/sluice/head", string(raw))
				return err
			}, publish)
		}},
	})
	// Who joins now gets what is, and nothing older.
	late := startReplica(t, "late", e.endpoints(), p.keys)
	late.load(t, 50*time.Millisecond)
	p.converged(t, []*replica{late})
	p.judge(t, []*replica{late})
	keep(t, "Kill matrix", g.report.String())
}

// upstream answers everything; it ends with the test.
func upstream(t *testing.T) string {
	t.Helper()
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") }))
	t.Cleanup(up.Close)
	return strings.TrimPrefix(up.URL, "http://")
}

// grounds are replicas under load, and what is told of them.
type grounds struct {
	p        *publisher
	replicas []*replica
	report   strings.Builder
}

// row is something that goes wrong while a version is published.
type row struct {
	name string
	do   func(t *testing.T, publish func())
}

// startGrounds publishes a first version and starts three replicas.
func startGrounds(t *testing.T, p *publisher, start func(name string) *replica) *grounds {
	t.Helper()
	g := &grounds{p: p}
	p.publish(t)
	for i := range 3 {
		r := start(fmt.Sprint("replica ", i))
		r.load(t, 50*time.Millisecond)
		g.replicas = append(g.replicas, r)
	}
	fmt.Fprintf(&g.report, "| what | publish took | until all served it | requests and probes so far, failed |\n|---|---|---|---|\n")
	return g
}

func (g *grounds) play(t *testing.T, rows []row) {
	t.Helper()
	for _, c := range rows {
		t.Run(c.name, func(t *testing.T) {
			var took time.Duration
			began := time.Now()
			c.do(t, func() { began = time.Now(); g.p.publish(t); took = time.Since(began) })
			g.p.converged(t, g.replicas)
			all := time.Since(began)
			served, failed := 0, 0
			for _, r := range g.replicas {
				r.mu.Lock()
				served, failed = served+r.served, failed+len(r.failed)
				r.mu.Unlock()
			}
			g.p.judge(t, g.replicas)
			fmt.Fprintf(&g.report, "| %s | %d ms | %d ms | %d, %d |\n", c.name, took.Milliseconds(), all.Milliseconds(), served, failed)
		})
	}
}

// killAll kills all members. What is in force stays, nothing can be published, and all goes on when they are back.
func (p *publisher) killAll(t *testing.T, e *ensemble, publish func()) {
	for _, m := range e.members {
		m.kill()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	raw, object, _ := p.next()
	if err := p.try(ctx, raw, object); err == nil {
		t.Error("published without a member")
	}
	e.startAll(t)
	publish()
}

// compacted cuts the replicas off, publishes twice, and takes the history away before they are back.
func (p *publisher) compacted(t *testing.T, e *ensemble, publish func()) {
	for _, m := range e.members {
		m.clients.cut(func(string) bool { return true })
	}
	p.publish(t)
	publish()
	eventually(t, "compacted", func(ctx context.Context) error {
		r, err := e.direct.Get(ctx, "x")
		if err == nil {
			_, err = e.direct.Compact(ctx, r.Header.Revision)
		}
		if err != nil && strings.Contains(err.Error(), "has been compacted") {
			return nil // the answer to the last attempt was lost
		}
		return err
	})
	for _, m := range e.members {
		m.clients.cut(nil)
	}
}

// full fills the store, so that nothing can be published, and then makes room as an operator does.
func (p *publisher) full(t *testing.T, e *ensemble, publish func()) {
	junk := strings.Repeat("x", 1<<20)
	for n := 0; ; n++ {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		_, err := e.direct.Put(ctx, fmt.Sprint("junk/", n%40), junk)
		cancel()
		if err != nil && strings.Contains(err.Error(), "space exceeded") {
			break
		}
		if n > 500 {
			t.Fatalf("it does not get full: %v", err)
		}
	}
	raw, object, _ := p.next()
	eventually(t, "a publication is refused for want of space", func(ctx context.Context) error {
		err := p.try(ctx, raw, object)
		if err == nil {
			t.Fatal("published without space")
		}
		if strings.Contains(err.Error(), "NOSPACE") {
			return nil
		}
		return err
	})
	eventually(t, "there is room", func(ctx context.Context) error {
		r, err := e.direct.Delete(ctx, "junk/", clientv3.WithPrefix())
		if err != nil {
			return err
		}
		if _, err := e.direct.Compact(ctx, r.Header.Revision); err != nil && !strings.Contains(err.Error(), "has been compacted") {
			return err
		}
		for _, m := range e.members {
			if _, err := e.direct.Defragment(ctx, m.client); err != nil {
				return err
			}
		}
		_, err = e.direct.AlarmDisarm(ctx, &clientv3.AlarmMember{})
		return err
	})
	publish()
}

// forged puts the next version in place without its signature: it is refused everywhere, counted, and the next one is taken.
func (p *publisher) forged(t *testing.T, replicas []*replica, write func(ctx context.Context, raw []byte) error, publish func()) {
	raw, object, _ := p.next()
	bare, _, _ := strings.Cut(string(raw), "untrusted comment:")
	was, err := p.store.RawHead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the forger wrote", func(ctx context.Context) error {
		if err := p.store.Put(ctx, sum(object), object); err != nil {
			return err
		}
		return write(ctx, []byte(bare))
	})
	for _, r := range replicas {
		r.await(t, "refusal", func(m map[string]any) bool {
			return m["msg"] == "policy version rejected" && strings.Contains(fmt.Sprint(m["err"]), "not signed")
		})
	}
	eventually(t, "the publisher's head is back", func(ctx context.Context) error { return write(ctx, was) })
	publish()
}

// slow delays each piece among members, and between them and replicas.
func (e *ensemble) slow(by time.Duration) {
	for _, m := range e.members {
		m.peers.delay(by / 10) // an election would take longer than it may
		m.clients.delay(by)
	}
}

// keep appends to the report, if one is wanted.
func keep(t *testing.T, title, text string) {
	t.Helper()
	t.Logf("%s\n%s", title, text)
	name := os.Getenv("ETCD_REPORT")
	if name == "" {
		return
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(f, "## %s\n\n%s\n", title, text); err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}
