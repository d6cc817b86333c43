package handover

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

var epoch = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

var times = Times{Ready: 30 * time.Second, TakeBack: 10 * time.Second, Stop: 5 * time.Second, Silence: 3 * time.Second}

// player drives a machine and writes down what it wants done.
type player struct {
	m    *Machine
	dead bool // what Verify finds
	now  time.Time
	log  []string

	word  string // that is played
	ended string // the word that confirmed
}

func newPlayer(t Times) *player { return &player{m: NewMachine(t), now: epoch} }

func (p *player) step() {
	actions, _ := p.m.Step(p.now)
	for _, a := range actions {
		if a.Kind == Verify {
			p.m.Verified(!p.dead)
			p.step()
			continue
		}
		name := [...]string{"spawn", "permit", "refresh", "switch", "", "confirm", "take back", "term", "kill", ""}[a.Kind]
		if a.Kind == Tell {
			name = string(a.Result)
		}
		if a.Kind == Confirm {
			p.ended = p.word
		}
		p.log = append(p.log, name)
	}
}

// play takes a script: one word for each event.
func (p *player) play(script string) {
	for _, word := range strings.Fields(script) {
		p.word = word
		report := func(hash string) *Report { return &Report{Policy: Version{Source: "dir", Hash: hash}} }
		ours := Version{Source: "dir", Hash: "v2"}
		switch word {
		case "dies":
			p.dead = true
		case "begin":
			p.dead = p.dead && p.m.Stage() != Idle
			_ = p.m.Begin(p.now)
		case "spawnfails":
			p.m.Spawned(errors.New("no such file"))
		case "synced":
			p.m.Heard(p.now, Notice{Report: report("v2"), Ours: ours})
		case "steady":
			r := report("v2")
			r.Steady = true
			p.m.Heard(p.now, Notice{Report: r, Ours: ours})
		case "look":
			p.now = p.now.Add(times.Silence / looks)
		case "silence":
			for range looks {
				p.now = p.now.Add(times.Silence / looks)
				p.step()
			}
		case "old":
			p.m.Heard(p.now, Notice{Report: report("v1"), Ours: ours})
		case "unsynced":
			p.m.Heard(p.now, Notice{Report: &Report{Waiting: "policy"}, Ours: ours})
		case "ready":
			p.m.Heard(p.now, Notice{Ready: true, Ours: ours})
		case "stopping":
			p.m.Heard(p.now, Notice{Stopping: true, Ours: ours})
		case "fails":
			p.m.Heard(p.now, Notice{Report: &Report{Stopping: true, Failed: true, Reason: "run proxy: broken"}, Ours: ours})
		case "told":
			p.m.Heard(p.now, Notice{Report: &Report{Stopping: true, Reason: "SIGTERM"}, Ours: ours})
		case "crash":
			p.m.Exited("exit status 1")
		case "exit":
			p.m.Exited("exit status 0")
		case "abandon":
			p.m.Abandon(p.now, "told to stop")
		case "hurry":
			p.m.Hurry(p.now, "told to stop")
		case "1s", "5s", "10s", "30s":
			d, _ := time.ParseDuration(word)
			p.now = p.now.Add(d)
		default:
			panic("unknown word " + word)
		}
		p.step()
	}
}

func TestUpgrades(t *testing.T) {
	for _, tt := range []struct{ name, script, want string }{
		{"good", "begin unsynced synced ready 10s", "spawn, starting, permit, switch, switched, confirm, confirmed"},
		{"ready before the report is read", "begin ready synced", "spawn, starting, permit, switch, switched"},
		{"not there", "begin spawnfails begin", "spawn, starting, failed, spawn, starting"},
		{"dies at the start", "begin crash", "spawn, starting, failed"},
		{"dies when permitted", "begin synced crash", "spawn, starting, permit, failed"},
		{"hangs", "begin 30s exit", "spawn, starting, term, failed"},
		{"hangs for good", "begin 30s 5s crash begin", "spawn, starting, term, failed, kill, spawn, starting"},
		{"is not gone yet", "begin 30s begin", "spawn, starting, term, failed"},
		{"never syncs", "begin unsynced unsynced 30s", "spawn, starting, term, failed"},
		{"an old policy never serves", "begin old ready old 30s", "spawn, starting, refresh, term, failed"},
		{"an old policy becomes new", "begin old synced ready", "spawn, starting, refresh, permit, switch, switched"},
		{"ours moves on before READY", "begin synced old ready synced", "spawn, starting, permit, refresh, switch, switched"},
		{"dies on trial", "begin synced ready 5s crash", "spawn, starting, permit, switch, switched, take back, taken_back"},
		{"is stopped on trial: it has to be alone to close", "begin synced ready 5s stopping exit", "spawn, starting, permit, switch, switched, confirm, confirmed"},
		{"is stopped before it serves", "begin synced stopping ready exit begin", "spawn, starting, permit, term, failed, spawn, starting"},
		{"exits on trial without having been told", "begin synced ready exit", "spawn, starting, permit, switch, switched, take back, taken_back"},
		{"dies at the end of the trial, and nobody has noticed yet", "begin synced ready dies 10s 5s crash", "spawn, starting, permit, switch, switched, take back, taken_back"},
		{"dies while it stops on trial", "begin synced ready dies stopping crash", "spawn, starting, permit, switch, switched, take back, taken_back"},
		{"dies later", "begin synced ready 10s crash begin", "spawn, starting, permit, switch, switched, confirm, confirmed"},
		{"we are told to stop", "begin abandon exit", "spawn, starting, term, failed"},
		{"we go", "begin hurry 1s", "spawn, starting, term, failed, kill"},
		{"we are told to stop on trial", "begin synced ready abandon hurry 10s", "spawn, starting, permit, switch, switched, confirm, confirmed"},
		{"hangs on trial", "begin steady ready silence exit begin", "spawn, starting, permit, switch, switched, kill, take back, taken_back, spawn, starting"},
		{"hangs on trial, and dies slowly", "begin steady ready silence begin", "spawn, starting, permit, switch, switched, kill, take back, taken_back"},
		{"hangs at the end of the trial", "begin steady ready steady 10s look look look look look", "spawn, starting, permit, switch, switched, kill, take back, taken_back"},
		{"a report ends the trial", "begin steady ready 10s look steady", "spawn, starting, permit, switch, switched, confirm, confirmed"},
		{"is slow", "begin steady ready look look look look look steady look look look look look steady 10s steady", "spawn, starting, permit, switch, switched, confirm, confirmed"},
		{"it was we who were stopped", "begin steady ready 30s steady", "spawn, starting, permit, switch, switched, confirm, confirmed"},
		{"an old build says nothing of reports", "begin synced ready silence 10s", "spawn, starting, permit, switch, switched, confirm, confirmed"},
		{"an old build reports all the same", "begin synced ready synced silence", "spawn, starting, permit, switch, switched, kill, take back, taken_back"},
		{"hangs, and we are told to stop", "begin steady ready abandon silence", "spawn, starting, permit, switch, switched, kill, take back, taken_back"},
		{"we go while it is on trial", "begin steady ready hurry silence", "spawn, starting, permit, switch, switched, confirm, confirmed"},
		{"fails by itself on trial", "begin steady ready fails exit begin", "spawn, starting, permit, switch, switched, term, take back, taken_back, spawn, starting"},
		{"fails by itself on trial, and does not go", "begin steady ready fails 5s crash", "spawn, starting, permit, switch, switched, term, take back, taken_back, kill"},
		{"fails before it serves", "begin steady fails exit", "spawn, starting, permit, term, failed"},
		{"again after a failure", "begin crash begin synced ready 10s", "spawn, starting, failed, spawn, starting, permit, switch, switched, confirm, confirmed"},
	} {
		p := newPlayer(times)
		p.play(tt.script)
		if got := strings.Join(p.log, ", "); got != tt.want {
			t.Errorf("%s: %s\n got %s\nwant %s", tt.name, tt.script, got, tt.want)
		}
	}
}

func TestNoTimeOfTrial(t *testing.T) {
	p := newPlayer(Times{Ready: time.Second, Stop: time.Second, Silence: time.Second})
	p.play("begin steady ready")
	p.step()
	if got := strings.Join(p.log, ", "); !strings.Contains(got, "switch, switched, confirm, confirmed") || p.m.Stage() != Confirmed {
		t.Error(p.m.Stage(), got)
	}
}

func TestWhyAnUpgradeFailed(t *testing.T) {
	for script, want := range map[string]string{
		"begin 30s":                  "the successor was not ready within 30s: it said nothing",
		"begin unsynced 30s":         "it waits for policy",
		"begin old 30s":              "its policy is version v1, ours is v2: it was not published later",
		"begin synced 30s":           "did not say READY",
		"begin crash":                "before it was ready: exit status 1",
		"begin spawnfails":           "no such file",
		"begin synced ready 1s exit": "after it took over: exit status 0",
		"begin steady ready silence": "said nothing for 3s",
		"begin steady ready fails":   "took over, and stops: run proxy: broken",
		"begin fails":                "the successor stops: run proxy: broken",
		"begin steady ready told":    "stops, by itself: SIGTERM",
		"begin stopping":             "the successor stops: its log says why",
	} {
		p := newPlayer(times)
		p.play(script)
		if _, why := p.m.Result(); !strings.Contains(why, want) {
			t.Errorf("%s: %q, want %q", script, why, want)
		}
	}
}

// Every history of up to nine events, breadth first: what must hold, holds in all.
func TestEveryHistory(t *testing.T) {
	words := []string{"begin", "synced", "steady", "old", "ready", "stopping", "fails", "dies", "crash", "exit", "hurry", "look", "silence", "10s", "30s"}
	depth := 7
	if testing.Short() {
		depth = 5
	}
	seen := map[string]bool{}
	level := []string{""}
	for range depth {
		var next []string
		for _, history := range level {
			for _, w := range words {
				script := strings.TrimSpace(history + " " + w)
				p := newPlayer(times)
				p.play(script)
				checkHistory(t, script, p)
				// Two histories that leave the same machine have the same future.
				state := fmt.Sprintf("%v %v %v %v %v %q %v %v %v %d", p.dead, p.m.stage, p.m.by.Sub(p.now), p.m.permitted, p.m.ready, p.m.unlike, p.m.result,
					p.m.steady, p.m.lookAt.Sub(p.now), p.m.missed)
				if !seen[state] {
					seen[state] = true
					next = append(next, script)
				}
			}
		}
		level = next
	}
	if len(seen) < 20 {
		t.Errorf("only %d states: the search looks at nothing", len(seen))
	}
}

func checkHistory(t *testing.T, script string, p *player) {
	t.Helper()
	alive, permitted, switched, gone := false, false, false, false
	for i, a := range p.log {
		switch a {
		case "spawn":
			if gone {
				t.Fatalf("%s: a successor of who has handed over: %v", script, p.log)
			}
			alive, permitted, switched = true, false, false
		case "permit":
			permitted = true
		case "switch":
			if !alive || !permitted {
				t.Fatalf("%s: switched to nobody, or to one that may not admit: %v", script, p.log)
			}
			switched = true
		case "confirm":
			if !switched {
				t.Fatalf("%s: let go without a successor: %v", script, p.log)
			}
			gone = true
		case "take back":
			if !switched || gone {
				t.Fatalf("%s: took back what was not given, or not held: %v", script, p.log)
			}
			switched, alive = false, false
		case "term", "kill":
			if switched && (i+1 == len(p.log) || p.log[i+1] != "take back") {
				t.Fatalf("%s: ended a successor that serves: %v", script, p.log)
			}
		}
	}
	if p.m.Stage() == Starting && p.m.by.IsZero() || p.m.Stage() == Trial && p.m.by.IsZero() && p.m.lookAt.IsZero() && !p.dead {
		t.Fatalf("%s: waits for ever", script)
	}
	// Invariant: time alone confirms nobody who said that it reports.
	if p.m.Stage() == Confirmed && p.m.steady && (p.ended == "look" || p.ended == "silence" || p.ended == "10s" || p.ended == "30s") {
		t.Fatalf("%s: let go for one that may hang: %v", script, p.log)
	}
}
