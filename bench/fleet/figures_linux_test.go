package fleet

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/authz/policy"
	"github.com/sluiceproxy/sluice/internal/fleet"
)

// realistic is a policy of n routes as people write them.
func realistic(n int) []byte {
	var b strings.Builder
	b.WriteString("clusters: {app: {endpoints: [\"127.0.0.1:9000\"]}}\nroutes:\n")
	for i := range n {
		fmt.Fprintf(&b, `- name: app-%d
  hosts: [app-%d.example.com]
  path: {prefix: /api/v%d/}
  methods: [GET, POST]
  cluster: app
  authenticate: [api_key]
  policy:
  - deny: {or: [{user: {in: [u-%d, u-%d]}}]}
  - allow:
      and:
      - or: [{domain: {is: example.com}}, {groups: {has: eng-%d}}]
      - source_ip: 10.%d.0.0/16
      - claim/amr: {has: mfa}
`, i, i, i%7, i, i+1, i%50, i%250)
	}
	return []byte(b.String())
}

// spent is the CPU time of this process so far, with that of its collector.
func spent(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// measured are the constants of this program on this machine, in CPU time.
func measured(t *testing.T) Costs {
	t.Helper()
	const routes = 5000
	c := Stated()
	src := realistic(routes)
	c.RouteBytes = len(src) / routes
	best := time.Hour
	for range 3 {
		runtime.GC()
		began := spent(t)
		doc, err := policy.ParseFiles([]policy.File{{Name: "routes.yaml", Src: src}})
		if err != nil {
			t.Fatal(err)
		}
		if p := policy.Compile(doc); p == nil {
			t.Fatal("nothing was compiled")
		}
		best = min(best, spent(t)-began)
	}
	c.Compile = best / routes
	entry, err := json.Marshal(map[string]string{"routes/000123.yaml": strings.Repeat("0", 64)})
	if err != nil {
		t.Fatal(err)
	}
	c.EntryBytes = len(entry)
	presence, err := json.Marshal(fleet.Replica{ID: "edge-000123", Instance: "0123456789ABCDEF", Host: "edge-000123.internal", PID: 12345, Generation: 1,
		Started: time.Now(), Binary: "v1.0.0", Budget: "10%", At: time.Now(),
		Facts: fleet.Facts{State: "serving", Ready: true, Admin: "10.0.0.1:9901", Policy: fleet.Policy{Number: 123456, Hash: strings.Repeat("0", 64), Ordered: true}, KeyRing: strings.Repeat("0", 16), Exchanges: 1000, Connections: 10000}})
	if err != nil {
		t.Fatal(err)
	}
	c.PresenceSize = len(presence)
	return c
}

// TestFigures prints the table of docs/fleet.md. It fails if the answers that the page gives do not hold any more.
func TestFigures(t *testing.T) {
	if os.Getenv("FIGURES") == "" {
		t.Skip("half a minute: FIGURES=1")
	}
	c := measured(t)
	t.Logf("measured: %d bytes a route, %d bytes an object in the head, %v to parse and compile a route, %d bytes a registration; stated: %v a read, %.0f MB/s",
		c.RouteBytes, c.EntryBytes, c.Compile, c.PresenceSize, c.Read, c.StoreBytes/1e6)
	row := func(m Model) Result {
		m.Costs = c
		r := Simulate(m)
		behind := ""
		if r.Behind {
			behind = " (falls behind)"
		}
		t.Logf("| %d | %d | %d | %v | %v | %.1f MB/s | %.0f | %.0f | %v | %v%s | %.0f %% |", m.Replicas, m.Routes, m.Objects, m.Every, m.Recall,
			r.BytesPerSecond/1e6, r.ReadsPerSecond, r.WritesPresence, r.InForce50.Round(10*time.Millisecond), r.InForce99.Round(10*time.Millisecond), behind, 100*r.Applied)
		return r
	}
	t.Log("| replicas | routes | objects | a change each | recall | sent by the store | reads/s | presence/s | half in force | 99 % in force | versions compiled |")
	full := Model{Replicas: 1000, Routes: 100_000, Every: time.Second}
	with := func(objects int, recall bool) Model { m := full; m.Objects, m.Recall = objects, recall; return m }
	all := row(with(600, false))
	recalled := row(with(600, true))
	row(with(100, true))
	row(with(3000, true))
	slower := with(600, true)
	slower.Every = 30 * time.Second
	rare := row(slower)
	tens := with(60, true)
	tens.Routes = 10_000
	row(tens)
	few := with(20, true)
	few.Routes, few.Replicas = 1000, 100
	row(few)
	switch {
	case recalled.Behind || rare.Behind:
		t.Error("the store falls behind where the page says that it does not")
	case all.BytesPerSecond < 10*recalled.BytesPerSecond && !all.Behind:
		t.Error("to fetch everything costs little more than to fetch what changed: the page says otherwise")
	case rare.Applied != 1:
		t.Error("with a change in 30 s versions are taken together")
	}
}
