package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/authz"
	"github.com/sluiceproxy/sluice/health"
	"github.com/sluiceproxy/sluice/lifecycle/handover"
	"github.com/sluiceproxy/sluice/proxy"
)

// watched is a dashboard's stream as its page sees it.
type watched struct {
	res *http.Response
	in  *bufio.Reader
}

// watch opens the events of a server that runs.
func watch(t *testing.T, s *Server, path, token string) *watched {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+s.Addr().String()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	return &watched{res, bufio.NewReader(res.Body)}
}

// next is the next event; empty: there is none.
func (w *watched) next(t *testing.T) (event, data string) {
	t.Helper()
	for {
		line, err := w.in.ReadString('\n')
		switch {
		case errors.Is(err, io.EOF):
			return "", ""
		case err != nil:
			t.Fatal(err)
		case line == "\n":
			return event, data
		}
		if rest, ok := strings.CutPrefix(line, "event: "); ok {
			event = strings.TrimSpace(rest)
		} else if rest, ok := strings.CutPrefix(line, "data: "); ok {
			data = strings.TrimSpace(rest)
		}
	}
}

// end reads on to the end and returns the last event.
func (w *watched) end(t *testing.T) (looks int, last string) {
	t.Helper()
	for {
		event, data := w.next(t)
		switch event {
		case "":
			return looks, last
		case "look":
			looks++
		}
		last = event + " " + data
	}
}

func started(t *testing.T, cfg Config) *Server {
	t.Helper()
	if cfg.Address == "" {
		cfg.Address = "127.0.0.1:0"
	}
	s := newServer(t, cfg)
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// All that the page shows is in one event, peers hashed.
func TestGlance(t *testing.T) {
	h := (&calls{}).hooks()
	h.Proxy = func() proxy.Stats {
		return proxy.Stats{Active: 2, Dropped: 4,
			Decisions: []proxy.DecisionStats{{Decision: authz.Allow.String(), Count: 100}, {Decision: authz.Unavailable.String(), Count: 2}, {Decision: authz.Deny.String(), Count: 3}, {Decision: authz.Challenge.String(), Count: 4}},
			Requests:  []proxy.RequestStats{{Route: "app", Status: 200, Buckets: [15]uint64{3}}, {Route: "app", Status: 503, Buckets: [15]uint64{14: 1}}},
			Listeners: []proxy.ListenerStats{{Refused: map[string]uint64{"draining": 5}}, {Refused: map[string]uint64{"draining": 1}}}}
	}
	s := started(t, Config{Build: Build{Version: "1.2.3"}, Hooks: h})
	w := watch(t, s, "/dashboard/events", "")
	if got := w.res.Header.Get("Content-Type"); w.res.StatusCode != 200 || got != "text/event-stream" {
		t.Fatalf("%d %s", w.res.StatusCode, got)
	}
	event, data := w.next(t)
	var g Glance
	d := json.NewDecoder(strings.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&g); err != nil || event != "look" {
		t.Fatalf("%s: %v: %s", event, err, data)
	}
	if g.Status.Version != "1.2.3" || g.Status.Drain.State != health.ProcessLameDuck || g.Status.Policy.Version != "17" || g.Status.Statuses[health.PolicySyncInitial].Error != "no such file" {
		t.Errorf("status %+v", g.Status)
	}
	if len(g.Holders.Holders) != 1 || g.Holders.Holders[0].ID != 1 || !g.Holders.PeersHashed || strings.Contains(data, "192.0.2.7") {
		t.Errorf("holders %+v", g.Holders)
	}
	if g.Acts || g.NextMS != glanceHurried.Milliseconds() || !strings.Contains(g.Account, "cut 1") {
		t.Errorf("acts %v, next in %d ms, account %q", g.Acts, g.NextMS, g.Account)
	}
	tr := g.Traffic
	if tr.Active != 2 || tr.Requests != (Statuses{OK: 3, Server: 1}) || tr.Buckets[0] != 3 || tr.Buckets[14] != 1 || len(tr.Routes) != 1 || tr.Routes[0].Requests.Total() != 4 {
		t.Errorf("traffic %+v", tr)
	}
	said := map[string]uint64{}
	for _, x := range tr.Troubles {
		said[x.What] = x.Count
	}
	if said["refused: draining"] != 6 || said["responses that did not become complete"] != 4 || said["decisions that could not be made"] != 2 || said["requests refused by policy"] != 7 {
		t.Errorf("troubles %v", said)
	}
}

// Routes are bounded, the busiest come first, and none is lost from the sums.
func TestTrafficIsBounded(t *testing.T) {
	var s proxy.Stats
	for i := range 3 * maxTrafficRoutes {
		s.Requests = append(s.Requests, proxy.RequestStats{Route: string(rune('A' + i)), Status: 100 * (i % 7), Buckets: [15]uint64{uint64(i)}})
	}
	tr := trafficOf(s)
	if len(tr.Routes) != maxTrafficRoutes || tr.Others != 2*maxTrafficRoutes || tr.Routes[0].Requests.Total() != 29 {
		t.Errorf("%d routes, %d others, first %+v", len(tr.Routes), tr.Others, tr.Routes[0])
	}
	if got := tr.Requests.Total(); got != 29*30/2 {
		t.Errorf("%d requests", got)
	}
}

// The events are for whom the API is for; a token that is taken back ends what it opened.
func TestEventsAreGuarded(t *testing.T) {
	path := tokenFile(t, secret)
	s := started(t, Config{TokenFile: path, Hooks: (&calls{}).hooks()})
	for _, token := range []string{"", "x", secret[:16]} {
		if w := watch(t, s, "/dashboard/events", token); w.res.StatusCode != 401 {
			t.Errorf("with %q: %d, want 401", token, w.res.StatusCode)
		}
	}
	w := watch(t, s, "/dashboard/events", secret)
	event, data := w.next(t)
	var g Glance
	if err := json.Unmarshal([]byte(data), &g); err != nil || event != "look" || !g.Acts {
		t.Fatalf("%s, acts %v, %v", event, g.Acts, err)
	}
	if err := os.WriteFile(path+".new", []byte(strings.Repeat("z", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	if _, last := w.end(t); last != `end {"why":"withdrawn"}` {
		t.Errorf("the last event is %s", last)
	}
}

// Dashboards end at once when the traffic is over, when a successor answers, and when the
// process exits; what asks again is answered for as long as there is a process.
func TestEventsEnd(t *testing.T) {
	s := started(t, Config{Hooks: (&calls{}).hooks()})
	for _, w := range []struct {
		what string
		do   func()
		want string
	}{
		{"drain", func() { _ = s.Drain(context.Background()) }, "drained"},
		{"yield", s.Yield, "handed_over"},
		{"close", func() { _ = s.Close() }, "over"},
	} {
		stream := watch(t, s, "/dashboard/events", "")
		if event, _ := stream.next(t); event != "look" {
			t.Fatalf("before %s: %q", w.what, event)
		}
		done := make(chan struct{})
		go func() { w.do(); close(done) }()
		if looks, last := stream.end(t); looks == 0 || last != `end {"why":"`+w.want+`"}` {
			t.Errorf("%s: %d looks, and then %s", w.what, looks, last)
		}
		<-done
	}
	if n := s.streams.Open(); n != 0 {
		t.Errorf("%d streams are open", n)
	}
}

// One that reads nothing does not hold the exit longer than anybody else, and as many pages
// as may be open are all that are.
func TestEventsAreBounded(t *testing.T) {
	s := started(t, Config{Hooks: (&calls{}).hooks()})
	var open []*watched
	for {
		w := watch(t, s, "/dashboard/events", "")
		if w.res.StatusCode == 503 {
			if body, _ := io.ReadAll(w.in); !strings.Contains(string(body), "close one") || w.res.Header.Get("Retry-After") == "" {
				t.Errorf("%s", body)
			}
			break
		}
		if open = append(open, w); len(open) > 100 {
			t.Fatal("there is no bound")
		}
	}
	if len(open) != 8 {
		t.Errorf("%d at a time, want 8", len(open))
	}
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	select {
	case err := <-closed:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("dashboards hold the exit")
	}
}

// A generation that drains is watched through the one that serves.
func TestEventsOfAnotherGeneration(t *testing.T) {
	e := newElder(t, 2)
	e.control.server.cfg.Hooks.Health = (&calls{}).hooks().Health
	g := NewGenerations([]handover.Member{e.control.Member()}, nil, nil)
	hooks := (&calls{}).hooks()
	hooks.Generations, hooks.Generation = g, 3
	s := started(t, Config{Hooks: hooks})
	for path, want := range map[string]int{"/dashboard/events": 3, "/generations/2/dashboard/events": 2} {
		w := watch(t, s, path, "")
		_, data := w.next(t)
		var g Glance
		if err := json.Unmarshal([]byte(data), &g); err != nil || g.Status.Generation != want {
			t.Errorf("%s: generation %d, %v", path, g.Status.Generation, err)
		}
		if want == 3 && (len(g.Generations) != 1 || g.Generations[0].Generation != 2) {
			t.Errorf("draining: %+v", g.Generations)
		}
		w.res.Body.Close()
	}
}
