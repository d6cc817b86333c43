package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestG8Generations: those that drain are listed, asked and measured by way of the one that
// serves; at most three drain, and for a fourth the oldest is cut, and named.
func TestG8Generations(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	h := serveHouse(t, up, setup{drain: "{timeout: 25s, idle_close: 500ms, flush: 1s}", extra: "upgrade: {ready_timeout: 10s, take_back: 50ms}\nplatform: {stop_timeout: 60s}"})
	config := "-c=" + h.file("sluice.yaml")
	var tunnels []*wire
	for i := range 3 { // generations 1 to 3 keep a tunnel each
		w, err := connect(h.raw, patience)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		_ = w.SetDeadline(time.Now().Add(3 * patience))
		echo(t, w, fmt.Sprintf("generation %d", i+1))
		tunnels = append(tunnels, w)
		if out, code := h.upgrade(t); code != 0 {
			t.Fatalf("exit %d: %s", code, out)
		}
	}
	list := h.generations(t)
	if len(list) != 4 || list[0].State != "draining" || list[2].State != "draining" || list[3].State != "serving" || list[3].Generation != 4 {
		t.Fatalf("generations: %+v", list)
	}
	if out, code := h.cli(t, "status", "--generations", config); code != 0 || strings.Count(out, "draining") != 3 || strings.Count(out, "1 tunnel") != 3 {
		t.Errorf("exit %d:\n%s", code, out)
	}
	if out, code := h.cli(t, "status", "--generation", "2", config); code != 0 || !strings.Contains(out, "Draining since") || !strings.Contains(out, "1 tunnel") {
		t.Errorf("status of one that drains: exit %d:\n%s", code, out)
	}
	if out, code := h.cli(t, "drain", "--generation", "2", config); code != 0 || !strings.Contains(out, "1 tunnel") {
		t.Errorf("drain of one that drains: exit %d: %s", code, out)
	}
	if out, code := h.cli(t, "drain", "--undo", "--generation", "2", config); code != 1 {
		t.Errorf("undo of one that drains: exit %d: %s", code, out)
	}
	if out, code := h.cli(t, "status", "--generation", "9", config); code != 1 || !strings.Contains(out, "generation 9 does not drain here") {
		t.Errorf("status of nobody: exit %d: %s", code, out)
	}
	for series, want := range map[string]float64{
		"sluice_generation": 4,
		`sluice_generation_state{generation="1",state="draining"}`:               1,
		`sluice_generation_connections_initial{class="tunnel",generation="3"}`:   1,
		`sluice_generation_connections_remaining{class="tunnel",generation="3"}`: 1,
	} {
		if got, ok := h.metric(t, series); !ok || got != want {
			t.Errorf("%s is %v, %v; want %v", series, got, ok, want)
		}
	}
	echo(t, tunnels[0], "still here") // in the oldest, which knows its way

	// One ends by itself, and its account stays.
	_ = tunnels[1].Close()
	eventually(t, "generation 2 is done", func() bool { return h.generations(t)[1].State == "drained" })
	if got, _ := h.metric(t, `sluice_generation_connections_closed_total{generation="2",outcome="cut"}`); got != 0 {
		t.Errorf("generation 2 cut %v", got)
	}

	// Two drain, and generation 4 is the third; with 5 there is one too many.
	for i := range 2 {
		w, err := connect(h.raw, patience)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		_ = w.SetDeadline(time.Now().Add(3 * patience))
		echo(t, w, "kept")
		echo(t, tunnels[0], fmt.Sprintf("before upgrade %d", i+4))
		if out, code := h.upgrade(t); code != 0 {
			t.Fatalf("exit %d: %s", code, out)
		}
	}
	if _, err := tunnels[0].in.ReadByte(); err == nil {
		t.Error("the oldest generation still serves its tunnel")
	}
	eventually(t, "the oldest names what it cut", func() bool {
		for _, r := range h.receipts(t) {
			if r.CutTotal == 1 && len(r.Cut) == 1 && r.Cut[0].Listener == "raw" {
				return true
			}
		}
		return false
	})
	echo(t, tunnels[2], "the others go on")
	for _, g := range h.generations(t) {
		if g.Generation > 2 && g.Generation < 6 && g.State != "draining" {
			t.Errorf("generation %d is %s", g.Generation, g.State)
		}
	}
	if out, code := h.cli(t, "drain", "--generation", "3", "--deadline", "0s", config); code != 0 {
		t.Errorf("a deadline for one that drains: exit %d: %s", code, out)
	}
	eventually(t, "generation 3 is cut", func() bool {
		return slices.ContainsFunc(h.generations(t), func(g listed) bool { return g.Generation == 3 && g.State == "drained" })
	})
}

// echo sends a line through a tunnel and waits for it.
func echo(t *testing.T, w *wire, text string) {
	t.Helper()
	if _, err := io.WriteString(w, text+"\n"); err != nil {
		t.Fatal(err)
	}
	if got, err := w.in.ReadString('\n'); err != nil || got != text+"\n" {
		t.Fatalf("echo %q: %q, %v", text, got, err)
	}
}

type listed struct {
	Generation int    `json:"generation"`
	State      string `json:"state"`
}

func (h *house) generations(t *testing.T) (list []listed) {
	t.Helper()
	out, code := h.cli(t, "status", "--generations", "--json", "-c", h.file("sluice.yaml"))
	if code != 0 {
		t.Fatalf("exit %d: %s", code, out)
	}
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	return list
}
