package e2e

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// G5 over an upgrade: what a process says of those that came before it, and what they leave.

// TestG5LastDrainOfAPredecessor: the account of a generation that has ended is what the
// successor tells as the last drain, and the alerts find what they ask for.
func TestG5LastDrainOfAPredecessor(t *testing.T) {
	t.Parallel()
	h := serveHouse(t, newUpstream(t), setup{extra: "upgrade: {ready_timeout: 10s, take_back: 50ms}\nplatform: {stop_timeout: 60s}"})
	if _, ok := h.metric(t, "sluice_last_drain_connections_cut"); ok {
		t.Error("there was no drain yet, and there is an account of one")
	}
	w, err := connect(h.raw, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	_ = w.SetDeadline(time.Now().Add(patience))
	echo(t, w, "held")
	if out, code := h.upgrade(t); code != 0 {
		t.Fatalf("exit %d: %s", code, out)
	}
	if _, ok := h.metric(t, "sluice_last_drain_connections_cut"); ok {
		t.Error("the predecessor drains still, and there is an account of it")
	}
	_, scraped := h.probe(t, "/metrics")
	readReference(t).labelsAreClosed(t, scraped)
	rulesNameWhatIsThere(t, scraped, 5, func(name string) bool { return strings.HasPrefix(name, "sluice_generation_") })
	h.drains(t, 0, "--generation", "1", "--deadline", "0s")
	eventually(t, "the account of the predecessor", func() bool {
		n, ok := h.metric(t, "sluice_last_drain_connections_cut")
		return ok && n == 1
	})
	if n, _ := h.metric(t, `sluice_generation_connections_closed_total{generation="1",outcome="cut"}`); n != 1 {
		t.Errorf("generation 1 cut %v", n)
	}
	h.stop(t)
}

// TestG5ReceiptsOfGenerations: generations write to the same path, and none of their
// receipts is lost by that.
func TestG5ReceiptsOfGenerations(t *testing.T) {
	t.Parallel()
	h := serveHouse(t, newUpstream(t), setup{})
	for range 2 {
		if out, code := h.upgrade(t); code != 0 {
			t.Fatalf("exit %d: %s", code, out)
		}
	}
	h.stop(t)
	type named struct {
		Process struct{ PID int }
		Phases  []struct{ Ended time.Time }
	}
	load := func(file string) (r named) {
		text, err := os.ReadFile(file)
		if err == nil {
			err = json.Unmarshal(text, &r)
		}
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	files, err := filepath.Glob(h.file("receipt.json.*"))
	if err != nil || len(files) != 3 {
		t.Fatalf("%d receipts beside the latest, want 3: %v %v", len(files), files, err)
	}
	seen, last := map[int]string{}, time.Time{}
	for _, file := range files {
		if !regexp.MustCompile(`^receipt\.json\.\d{8}T\d{6}\.\d{3}Z-g[123]-\d+$`).MatchString(filepath.Base(file)) {
			t.Errorf("name %s", file)
		}
		r := load(file)
		seen[r.Process.PID] = file
		if at := r.Phases[len(r.Phases)-1].Ended; at.After(last) {
			last = at
		}
	}
	if len(seen) != 3 {
		t.Errorf("receipts of %d processes: %v", len(seen), seen)
	}
	if latest := load(h.file("receipt.json")); !latest.Phases[len(latest.Phases)-1].Ended.Equal(last) {
		t.Errorf("the latest is the one of pid %d", latest.Process.PID)
	}
}

// TestG5WatchAGeneration: the end of a generation is the good end of who watches it, also for
// who comes after it.
func TestG5WatchAGeneration(t *testing.T) {
	t.Parallel()
	h := serveHouse(t, newUpstream(t), setup{extra: "upgrade: {ready_timeout: 10s, take_back: 50ms}\nplatform: {stop_timeout: 60s}"})
	w, err := connect(h.raw, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	_ = w.SetDeadline(time.Now().Add(patience))
	echo(t, w, "held")
	if out, code := h.upgrade(t); code != 0 {
		t.Fatalf("exit %d: %s", code, out)
	}
	cmd := exec.Command(built.sluice, "drain", "--watch", "--generation", "1", "--every", "50ms", "-c", h.file("sluice.yaml"))
	out, err := cmd.StdoutPipe()
	cmd.Stderr = cmd.Stdout
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(out)
	first, err := in.ReadString('\n')
	if err != nil || !strings.Contains(first, "1 tunnel") {
		t.Errorf("the first look: %q %v", first, err)
	}
	_ = w.Close()
	rest, _ := io.ReadAll(in)
	if err := cmd.Wait(); err != nil || !strings.Contains(string(rest), "generation 1 is done: drained clean") && !strings.Contains(string(rest), "drained: ") {
		t.Errorf("the end: %v, %q", err, rest)
	}
	eventually(t, "generation 1 is gone", func() bool {
		out, code := h.cli(t, "status", "--generation", "1", "-c", h.file("sluice.yaml"))
		return code == 1 && strings.Contains(out, "generation 1 is done: drained clean")
	})
	if got := h.drains(t, 0, "--watch", "--generation", "1"); !strings.Contains(got, "generation 1 is done: drained clean") {
		t.Errorf("who comes later is told %q", got)
	}
	if got := h.drains(t, 1, "--watch", "--generation", "7"); !strings.Contains(got, "does not drain here") {
		t.Errorf("of a generation that there never was: %q", got)
	}
	h.stop(t)
}
