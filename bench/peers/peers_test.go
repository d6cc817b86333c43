//go:build linux

package main

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if played, err := part(os.Args[1:]); played { // the test binary starts itself as well
		exit(err)
	}
	goleak.VerifyTestMain(m)
}

func TestParse(t *testing.T) {
	o, err := parse([]string{"-quick", "-rows", "get1m", "-engine", "epoll"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(o.rows, []string{"get1m"}) || o.rounds != 2 || o.engine != "epoll" || !slices.Equal(o.pairings, []int{1}) {
		t.Errorf("-quick with rows of one's own: %+v", o)
	}
	if o, err = parse(nil, io.Discard); err != nil || len(o.rows) != len(rows()) || len(o.modes) != 3 || len(o.pairings) != 2 {
		t.Errorf("no flags: %+v, %v", o, err)
	}
	for _, bad := range [][]string{
		{"-rows", "nosuch"}, {"-peers", "apache"}, {"-modes", "x"}, {"-pairings", "3"}, {"-rounds", "0"}, {"-rounds", "51"},
		{"-seconds", "31"}, {"-loops", "-1"}, {"extra"}, {"-pairings", ""},
	} {
		if o, err := parse(bad, io.Discard); err == nil {
			t.Errorf("%q passes: %+v", bad, o)
		}
	}
}

func TestRowsAreWithinBounds(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range rows() {
		c := withKey(r.load)
		c.Addr, c.Duration, c.Routes = "127.0.0.1:1", time.Second, r.routes
		if err := c.Validate(); err != nil {
			t.Errorf("%s: %v", r.name, err)
		}
		if seen[r.name] || r.title == "" || c.Conns > connections {
			t.Errorf("%s: named twice, without a title, or with more connections than the proxies take", r.name)
		}
		seen[r.name] = true
	}
}

func TestEveryModeHasItsRival(t *testing.T) {
	o := options{peers: []string{"nginx", "caddy", "floor"}, modes: []mode{off, on, shipped}}
	byName := map[string]row{}
	for _, r := range rows() {
		byName[r.name] = r
	}
	got := entrants(o, byName["get64"])
	want := []entrant{{us, off}, {us, on}, {us, shipped}, {"nginx", off}, {"nginx", shipped}, {"caddy", off}, {"floor", off}}
	if !slices.Equal(got, want) {
		t.Errorf("get64: %v, want %v", got, want)
	}
	for _, e := range got[:3] {
		for _, p := range o.peers {
			if !slices.Contains(got, e.rival(p)) {
				t.Errorf("%v is compared with %v, which does not take part", e, e.rival(p))
			}
		}
	}
	if got := entrants(o, byName["tcpbulk"]); !slices.Equal(got, []entrant{{us, off}, {"nginx", off}, {"floor", off}}) {
		t.Errorf("tcpbulk: %v", got)
	}
	o.modes = []mode{shipped}
	if got := entrants(o, byName["get64"]); !slices.Equal(got, []entrant{{us, shipped}, {"nginx", shipped}, {"caddy", off}, {"floor", off}}) {
		t.Errorf("only as shipped: %v", got)
	}
}

func TestPlace(t *testing.T) {
	for _, c := range []struct {
		workers, total int
		want           cpus
		others         int
	}{
		{1, 2, cpus{"1", "0"}, 1}, {2, 2, cpus{"0-1", "0-1"}, 2}, {1, 1, cpus{"0", "0"}, 1}, {2, 8, cpus{"6-7", "0-5"}, 6},
	} {
		got := place(c.workers, c.total)
		if got != c.want || count(got.others) != c.others {
			t.Errorf("%d of %d: %+v with %d for the others, want %+v and %d", c.workers, c.total, got, count(got.others), c.want, c.others)
		}
	}
}

func TestFindMetric(t *testing.T) {
	const text = "# HELP a_total x\na_total_more 9\na_total 1.5e+06\nb{c=\"d\"} 2\n"
	for name, want := range map[string]float64{"a_total": 1.5e6, "b": -1, "c": -1} {
		if got := find(strings.NewReader(text), name); got != want {
			t.Errorf("%s = %v, want %v", name, got, want)
		}
	}
}

// Everything renders, and the access log is there exactly if it is wanted.
func TestConfigurationsRender(t *testing.T) {
	dir := t.TempDir()
	for _, r := range rows() {
		s, err := newSetting(dir, 2, 19_000, r, ports{1, 2, 3, 4})
		if err != nil {
			t.Fatal(err)
		}
		if want := map[bool]int{true: 3, false: 2}[r.bulkPort]; s.OriginTCP != want || s.HTTP == s.TCP || s.HTTP == 0 {
			t.Errorf("%s: %+v", r.name, s)
		}
		for _, e := range entrants(options{peers: []string{"nginx", "haproxy", "caddy", "floor"}, modes: []mode{off, on, shipped}}, r) {
			args, err := s.command(e, r, programs{"sluice", "nginx", "haproxy", "caddy", "floor"})
			if err != nil || args[0] != e.peer {
				t.Errorf("%s, %v: %q, %v", r.name, e, args, err)
			}
		}
	}
	for name, mark := range map[string]string{"nginx.conf": "log_format", "haproxy.cfg": "log stdout", "caddy.json": "access.log", "sluice.yaml": "access: true"} {
		for _, log := range []bool{false, true} {
			text, err := setting{Log: log}.render(name)
			if err != nil || strings.Contains(string(text), mark) != log {
				t.Errorf("%s with log %v: %v\n%s", name, log, err, text)
			}
		}
	}
}

// What haproxy and nginx themselves say about their configurations, where they are installed.
func TestPeersAcceptTheirConfigurations(t *testing.T) {
	for peer, check := range map[string][]string{"nginx": {"-t"}, "haproxy": {"-c"}} {
		bin := first([]string{peer, "/usr/sbin/" + peer})
		if bin == "" {
			t.Logf("no %s here", peer)
			continue
		}
		for _, m := range []mode{off, shipped} {
			s, err := newSetting(t.TempDir(), 1, 19_000, row{}, ports{1, 2, 3, 4})
			if err != nil {
				t.Fatal(err)
			}
			args, err := s.command(entrant{peer, m}, row{}, programs{nginx: bin, haproxy: bin})
			if err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command(args[0], append(args[1:], check...)...).CombinedOutput(); err != nil {
				t.Errorf("%s, %s: %v\n%s", peer, m, err, out)
			}
		}
	}
}

func someSamples() (all []sample) {
	for round := range 3 {
		slow := float64(1 + round) // the machine got slower and slower, for all
		for _, x := range []struct {
			e   entrant
			cpu float64
		}{{entrant{us, off}, 9}, {entrant{us, on}, 10}, {entrant{us, shipped}, 12}, {entrant{"nginx", off}, 10}, {entrant{"nginx", shipped}, 12}, {entrant{"floor", off}, 6}} {
			all = append(all, sample{Pairing: 1, Row: "get64", Entrant: x.e.String(), entrant: x.e, Round: round,
				CPU: x.cpu * slow, User: x.cpu * slow / 3, Sys: x.cpu * slow * 2 / 3, Rate: 1000, P99: 2000 * slow, Feeders: 0.99, Allocs: -1})
		}
	}
	return append(all, sample{Pairing: 1, Row: "idle8000", Entrant: "sluice", entrant: entrant{us, off}, IdleUser: 218, IdleHeap: 200, RSS: 5 << 20})
}

func TestReport(t *testing.T) {
	r := report{options: options{peers: []string{"nginx", "floor"}, modes: []mode{off, on, shipped}, pairings: []int{1, 2}, rounds: 3, engine: "epoll"},
		machine: machine{cpus: 2, model: "M"}, results: results{samples: someSamples(), failures: []string{"get16k, round 1, nginx: it ended"}},
		incomplete: errors.New("stopped")}
	var b strings.Builder
	if err := writeReport(&b, r); err != nil {
		t.Fatal(err)
	}
	got := b.String()
	for _, want := range []string{
		"engine epoll", "**Incomplete: stopped**", "## One against one",
		"| row | off / nginx | off / floor | key and rule / nginx | as shipped / nginx, access log |\n",
		"| get64 | **0.90** (0.90 to 0.90) | **1.50** (1.50 to 1.50) | **1.00** (1.00 to 1.00) | **1.00** (1.00 to 1.00) |\n",
		"| sluice | **18.00** (9.00 to 27.00) | 6.00 | 12.00 | 1000 | 0.00 | 4.00 (2.00 to 6.00) |",
		"99% full", "| sluice | 218 (218 to 218) | 200 | 5.0 |",
		"- get16k, round 1, nginx: it ended", "worker_processes 1;", "it splices in get1m",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	for _, absent := range []string{"Two against two", "| idle8000 | -"} {
		if strings.Contains(got, absent) {
			t.Errorf("what did not run is in it: %q", absent)
		}
	}
}
