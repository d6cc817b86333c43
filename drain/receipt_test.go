package drain_test

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/drain"
)

// clock is time that only a test moves.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time          { return c.now }
func (c *clock) advance(d time.Duration) { c.now = c.now.Add(d) }
func newClock() *clock                   { return &clock{time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)} }

// oneOfEach drains a tracker in which one connection ends in each way.
func oneOfEach(t *testing.T) *drain.Tracker {
	t.Helper()
	k := newClock()
	tr := opened(t, drain.Config{Now: k.Now})
	conns := make([]*drain.Conn, 5)
	for i := range conns {
		conns[i] = track(t, tr, nil)
		conns[i].Active()
		if i >= 3 { // one exchange was before all this, and is not in the account
			conns[i].Idle()
			conns[i].Active()
		}
	}
	tr.BeginLeave(k.now)
	k.advance(5 * time.Second)
	conns[0].Idle()
	conns[1].Idle()
	tr.ListenerClosed("web", false, "SYN cookies were sent", 2)
	tr.Closing()
	k.advance(10 * time.Millisecond)
	tr.BeginDrain(k.now, time.Time{})
	if _, err := tr.Track(meta, nil); err != drain.ErrDraining {
		t.Fatal(err)
	}
	k.advance(time.Second - 10*time.Millisecond)
	conns[0].Crossed()
	conns[0].Done(drain.IdleClosed)
	conns[1].Active()
	conns[1].Told()
	conns[1].Done(drain.Completed)
	conns[2].Done(drain.ClientClosed)
	conns[3].Owes([]string{"id-1", "id-2"})
	conns[3].Unsent(700)
	conns[3].Done(drain.Cut)
	k.advance(14*time.Second + 10*time.Millisecond)
	tr.Step(k.now)
	k.advance(time.Second)
	tr.Step(k.now) // conns[4] is stuck
	return tr
}

func TestReceiptAccountsForEverything(t *testing.T) {
	tr := oneOfEach(t)
	r := tr.Receipt()
	if got, want := r.Initial, (drain.ClassCounts{Idle: 2, Active: 3}); got != want {
		t.Errorf("initial %+v, want %+v", got, want)
	}
	if got, want := r.Outcomes, (drain.OutcomeCounts{Completed: 1, ClientClosed: 1, IdleClosed: 1, Cut: 1}); got != want {
		t.Errorf("outcomes %+v, want %+v", got, want)
	}
	if got, want := r.Exchanges, (drain.ExchangeCounts{Started: 6, LameDuck: 2, Draining: 1, Interrupted: 2, Failed: 1}); got != want {
		t.Errorf("exchanges %+v, want %+v", got, want)
	}
	if r.CutTotal != 1 || r.StuckTotal != 1 || r.Told != 1 || r.Refused != 1 || r.Accepted != 0 || r.Clean() {
		t.Errorf("receipt %+v", r)
	}
	if got, want := r.Listeners, (drain.ListenerProof{Name: "web", Reason: "SYN cookies were sent", Residue: 2}); len(got) != 1 || got[0] != want {
		t.Errorf("listeners %+v, want one %+v", got, want)
	}
	if got, want := r.Open, (drain.ClassCounts{Active: 5}); got != want {
		t.Errorf("open when the account began %+v, want %+v", got, want)
	}
	if got, want := r.ToldClass, (drain.ClassCounts{Active: 1}); got != want {
		t.Errorf("told by class %+v, want %+v", got, want)
	}
	if r.ActualLoss != 1 || r.Unsent != 700 || !slices.Equal(r.Cut[0].Requests, []string{"id-1", "id-2"}) || r.Cut[0].BytesUnsent != 700 {
		t.Errorf("%d lost by idle closes, %d bytes unsent, cut %+v; want 1, 700, and both in the name", r.ActualLoss, r.Unsent, r.Cut)
	}
	if err := r.Audit(); err != nil {
		t.Error(err)
	}
	// 50ms by a mean gap of 6s/2 exchanges.
	if got, want := r.LossBound, 50.0/3000; got < want*0.999 || got > want*1.001 {
		t.Errorf("expected loss %v, want %v", got, want)
	}
	var names []string
	for _, p := range r.Phases {
		names = append(names, p.Name+" "+p.Ended.Sub(p.Began).String()+" "+p.EndedBy)
	}
	want := "lame_duck 5s draining; close_listeners 10ms accept_loops_joined; drain 15s deadline; cut 1s settle_time"
	if got := strings.Join(names, "; "); got != want {
		t.Errorf("phases %q, want %q", got, want)
	}
	if got := r.String(); !strings.HasPrefix(got, "cut 1, stuck 1 in 21.01s: 5 connections at the start (3 active, 2 idle)") {
		t.Errorf("in words: %s", got)
	}
}

// The last receipt is read again at the next start.
func TestReceiptSurvivesJSON(t *testing.T) {
	r := oneOfEach(t).Receipt()
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var back drain.Receipt
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(r, back) {
		t.Errorf("%+v\ncame back as\n%+v", r, back)
	}
	for _, want := range []string{`"schema":1`, `"class":"active"`, `"ended_by":"settle_time"`, `"peer":"192.0.2.7:4711"`} {
		if !strings.Contains(string(b), want) {
			t.Errorf("no %s in %s", want, b)
		}
	}
}

// The termination log takes 4 KiB: names are left out until it fits, counts never.
func TestReceiptWithin4KiB(t *testing.T) {
	k := newClock()
	tr := opened(t, drain.Config{Now: k.Now})
	route, user := strings.Repeat("route", 400), strings.Repeat("user", 400)
	for range 500 {
		c := track(t, tr, nil)
		c.Describe(&route, &user)
		c.Tunnel()
		defer c.Done(drain.Cut)
	}
	for range 256 {
		tr.ListenerClosed("web", false, strings.Repeat("why ", 50), 1)
	}
	tr.BeginDrain(k.now, time.Time{})
	k.advance(15 * time.Second)
	tr.Step(k.now)
	k.advance(time.Second)
	tr.Step(k.now)
	r := tr.Receipt()
	r.Trigger, r.Process.Host = strings.Repeat("t", 5000), strings.Repeat("h", 5000)
	raw := r.JSONWithin(4 << 10)
	var back drain.Receipt
	if err := json.Unmarshal(raw, &back); err != nil || len(raw) > 4<<10 {
		t.Fatalf("%d bytes, %v", len(raw), err)
	}
	if back.StuckTotal != 500 || back.Open != r.Open || len(back.Listeners) == 0 {
		t.Errorf("%d bytes say %+v", len(raw), back)
	}
	if line := r.JSONWithin(60); len(line) != 60 || !strings.HasPrefix(string(line), "cut 0, stuck 500 in ") {
		t.Errorf("in 60 bytes: %s", line)
	}
}

// The books are what they are checked by: each entry that is missing shows.
func TestAuditFindsWhatIsMissing(t *testing.T) {
	whole := oneOfEach(t).Receipt()
	for name, forget := range map[string]func(*drain.Receipt){
		"a connection":     func(r *drain.Receipt) { r.Outcomes.ClientClosed-- },
		"an exchange":      func(r *drain.Receipt) { r.Exchanges.Failed-- },
		"a cut":            func(r *drain.Receipt) { r.CutTotal-- },
		"a stuck one":      func(r *drain.Receipt) { r.StuckTotal-- },
		"who was there":    func(r *drain.Receipt) { r.Open.Active-- },
		"whom it cost":     func(r *drain.Receipt) { r.ActualLoss = 2 },
		"an idle close":    func(r *drain.Receipt) { r.Outcomes.IdleClosed-- },
		"who was accepted": func(r *drain.Receipt) { r.Accepted++ },
	} {
		r := whole
		forget(&r)
		if r.Audit() == nil {
			t.Errorf("%s is missing, and nobody notices", name)
		}
	}
}

func TestPeersHashed(t *testing.T) {
	r := oneOfEach(t).Receipt()
	full := r.Cut[0].Peer
	h := r.PeersHashed([]byte("key"))
	if !h.PeersHidden || h.Cut[0].Peer == full || h.Cut[0].Peer != h.Stuck[0].Peer {
		t.Errorf("hashed as %q and %q", h.Cut[0].Peer, h.Stuck[0].Peer)
	}
	if other := r.PeersHashed([]byte("other")); other.Cut[0].Peer == h.Cut[0].Peer {
		t.Error("the key does not matter")
	}
	if r.Cut[0].Peer != full || r.PeersHidden {
		t.Error("the original was changed")
	}
}

func TestListsAreBounded(t *testing.T) {
	k := newClock()
	tr := opened(t, drain.Config{Now: k.Now})
	var conns []*drain.Conn
	for range 2500 {
		conns = append(conns, track(t, tr, nil))
	}
	tr.BeginDrain(k.now, time.Time{})
	for _, c := range conns[:1200] {
		c.Tunnel()
		c.Done(drain.Cut)
	}
	k.advance(15 * time.Second)
	tr.Step(k.now)
	k.advance(time.Second)
	tr.Step(k.now)
	for range 1000 {
		tr.ListenerClosed("web", true, "", 0)
	}
	r := tr.Receipt()
	if len(r.Cut) != 1000 || r.CutTotal != 1200 || len(r.Stuck) != 1000 || r.StuckTotal != 1300 {
		t.Errorf("cut %d of %d, stuck %d of %d", len(r.Cut), r.CutTotal, len(r.Stuck), r.StuckTotal)
	}
	if got, want := r.Stuck[0].ID, conns[1200].ID(); got != want {
		t.Errorf("the first stuck one is %d, want the oldest, %d", got, want)
	}
}

func TestSnapshotIsOldestFirst(t *testing.T) {
	tr := opened(t, drain.Config{})
	var conns []*drain.Conn
	for range 10 {
		conns = append(conns, track(t, tr, nil))
	}
	conns[0].Done(drain.ClientClosed) // moves the last into its place
	conns[3].Active()
	got := tr.Snapshot(3)
	if len(got) != 3 || got[0].ID != 2 || got[1].ID != 3 || got[2].ID != 4 || got[2].Class != drain.Active {
		t.Errorf("snapshot %+v", got)
	}
	if n := len(tr.Snapshot(0)); n != 9 {
		t.Errorf("%d in all, want 9", n)
	}
}

func TestStatsGroups(t *testing.T) {
	tr := opened(t, drain.Config{})
	for _, m := range []drain.Meta{{Listener: "web", Protocol: "http"}, {Listener: "db", Protocol: "tcp"}, {Listener: "web", Protocol: "http"}} {
		m.Peer = netip.MustParseAddrPort("192.0.2.1:1")
		c, err := tr.Track(m, nil)
		if err != nil {
			t.Fatal(err)
		}
		if m.Protocol == "tcp" {
			c.Tunnel()
		}
	}
	want := []drain.Group{
		{Listener: "db", Protocol: "tcp", Connections: drain.ClassCounts{Tunnel: 1}},
		{Listener: "web", Protocol: "http", Connections: drain.ClassCounts{Handshake: 2}},
	}
	if got := tr.Stats().Groups; !reflect.DeepEqual(got, want) {
		t.Errorf("groups %+v, want %+v", got, want)
	}
}
