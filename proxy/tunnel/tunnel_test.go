package tunnel

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	begin    = time.Unix(1_000_000, 0)
	errReset = errors.New("reset")
)

// log writes actions as one line.
func log(acts Actions) string {
	var words []string
	for a := range acts.All() {
		switch a.Op {
		case Arm:
			words = append(words, "arm "+a.After.String())
		case Finish:
			w := "finish " + a.Outcome.Cause.String()
			if c := a.Outcome.Cause; c != Idle && c != Cut {
				w += " " + a.Outcome.Side.String()
			}
			words = append(words, w)
		default:
			words = append(words, a.Op.String()+" "+a.Side.String())
		}
	}
	return strings.Join(words, ", ")
}

// step is one event and the answer expected.
type step struct {
	event func(*Tunnel, time.Time) Actions
	at    time.Duration // since begin
	want  string
}

func bytes(from Side, n, queued int) func(*Tunnel, time.Time) Actions {
	return func(t *Tunnel, now time.Time) Actions { return t.Bytes(from, n, queued, now) }
}

func drained(to Side, queued int) func(*Tunnel, time.Time) Actions {
	return func(t *Tunnel, now time.Time) Actions { return t.Drained(to, queued, now) }
}

func eof(from Side) func(*Tunnel, time.Time) Actions {
	return func(t *Tunnel, now time.Time) Actions { return t.EOF(from, now) }
}

func closed(gone Side, err error) func(*Tunnel, time.Time) Actions {
	return func(t *Tunnel, now time.Time) Actions { return t.Closed(gone, err, now) }
}

func timer(down, up int) func(*Tunnel, time.Time) Actions {
	return func(t *Tunnel, now time.Time) Actions { return t.Timer(now, [2]int{down, up}) }
}

func evict(t *Tunnel, _ time.Time) Actions { return t.Evict() }

func TestTunnel(t *testing.T) {
	cfg := Config{Idle: time.Minute, HalfOpen: 10 * time.Second, High: 100, Low: 20}
	const d, u = Downstream, Upstream
	for name, steps := range map[string][]step{
		"client ends first": {
			{bytes(d, 5, 0), 1, ""},
			{eof(d), 2, "close_write upstream, arm 10s"},
			{bytes(u, 7, 0), 3, ""},
			{eof(u), 4, "close_write downstream, finish completed downstream"},
		},
		"origin ends first": {
			{eof(u), 1, "close_write downstream, arm 10s"},
			{eof(d), 2, "close_write upstream, finish completed upstream"},
		},
		"both ended but bytes are queued": {
			{bytes(d, 50, 50), 1, ""},
			{eof(d), 2, "close_write upstream, arm 10s"},
			{eof(u), 3, "close_write downstream, arm 10s"},
			{drained(u, 10), 4, ""},
			{drained(u, 0), 5, "finish completed downstream"},
		},
		"a second EOF says nothing": {
			{eof(d), 1, "close_write upstream, arm 10s"},
			{eof(d), 2, ""},
		},
		"slow origin stops the client": {
			{bytes(d, 99, 99), 1, ""},
			{bytes(d, 1, 100), 2, "pause downstream"},
			{bytes(d, 30, 130), 3, ""}, // was on its way when the pause came
			{drained(u, 21), 4, ""},
			{drained(u, 20), 5, "resume downstream"},
			{drained(u, 0), 6, ""},
		},
		"one direction paused leaves the other alone": {
			{bytes(u, 200, 200), 1, "pause upstream"},
			{bytes(d, 5, 5), 2, ""},
			{drained(u, 0), 3, ""},
			{drained(d, 0), 4, "resume upstream"},
		},
		"an ended side is not resumed": {
			{bytes(d, 100, 100), 1, "pause downstream"},
			{eof(d), 2, "close_write upstream, arm 10s"}, // a driver does not do this; harmless
			{drained(u, 0), 3, ""},
		},
		"reset with nothing on the way": {
			{closed(u, errReset), 1, "finish broken upstream"},
		},
		"reset while its bytes are still queued": {
			{bytes(u, 50, 50), 1, ""},
			{closed(u, errReset), 2, "pause downstream, arm 10s"},
			{bytes(d, 3, 3), 3, ""},
			{drained(d, 0), 4, "finish broken upstream"},
		},
		"both reset while bytes are queued": {
			{bytes(u, 50, 50), 1, ""},
			{closed(u, errReset), 2, "pause downstream, arm 10s"},
			{closed(d, errReset), 3, "finish broken upstream"},
		},
		"reset after its EOF": {
			{eof(u), 1, "close_write downstream, arm 10s"},
			{closed(u, errReset), 2, "finish broken upstream"},
		},
		"closed without an EOF is not in good order": {
			{closed(d, nil), 1, "finish broken downstream"},
		},
		"one closed in good order, the other still takes bytes": {
			{bytes(u, 50, 50), 1, ""},
			{eof(u), 2, "close_write downstream, arm 10s"},
			{eof(d), 3, "close_write upstream, arm 10s"},
			{closed(u, nil), 4, "arm 10s"},
			{closed(u, nil), 4, ""},
			{drained(d, 0), 5, "finish completed upstream"},
		},
		"lost at the very end": {
			{bytes(u, 50, 50), 1, ""},
			{eof(u), 2, "close_write downstream, arm 10s"},
			{eof(d), 3, "close_write upstream, arm 10s"},
			{closed(d, errReset), 4, "finish broken downstream"},
		},
		"idle": {
			{timer(0, 0), time.Minute, "finish idle"},
		},
		"idle begins at the last byte": {
			{bytes(u, 1, 0), 50 * time.Second, ""},
			{timer(0, 0), time.Minute, "arm 50s"},
			{timer(0, 0), 109 * time.Second, "arm 1s"},
			{timer(0, 0), 110 * time.Second, "finish idle"},
		},
		"a slow reader is not idle": {
			{bytes(u, 50, 50), 0, ""},
			{timer(40, 0), time.Minute, "arm 1m0s"},
			{timer(39, 0), 2 * time.Minute, "arm 1m0s"},
			{timer(39, 0), 3 * time.Minute, "finish idle"},
		},
		"half open": {
			{eof(d), 0, "close_write upstream, arm 10s"},
			{bytes(u, 1, 0), 9 * time.Second, ""},
			{timer(0, 0), 10 * time.Second, "arm 9s"},
			{timer(0, 0), 19 * time.Second, "finish half_open_timeout upstream"},
		},
		"both ended but the client takes nothing": {
			{bytes(u, 50, 50), 0, ""},
			{eof(d), 0, "close_write upstream, arm 10s"},
			{eof(u), 0, "close_write downstream, arm 10s"},
			{timer(50, 0), 10 * time.Second, "finish half_open_timeout downstream"},
		},
		"cut with bytes queued": {
			{bytes(u, 50, 50), 0, ""},
			{evict, 1, "finish cut"},
		},
		"nothing after the end": {
			{evict, 1, "finish cut"},
			{evict, 2, ""}, {bytes(d, 1, 1), 2, ""}, {drained(d, 0), 2, ""}, {eof(d), 2, ""},
			{closed(d, nil), 2, ""}, {timer(0, 0), time.Hour, ""},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var m Tunnel
			if got := log(m.Start(cfg, begin)); got != "arm 1m0s" {
				t.Errorf("start: %q", got)
			}
			for i, s := range steps {
				if got := log(s.event(&m, begin.Add(s.at))); got != s.want {
					t.Errorf("step %d: %q, want %q", i, got, s.want)
				}
			}
		})
	}
}

func TestCountsBothWays(t *testing.T) {
	var m Tunnel
	m.Start(Config{}, begin)
	m.Bytes(Downstream, 3, 0, begin)
	m.Bytes(Upstream, 1<<40, 0, begin)
	m.Bytes(Downstream, 4, 0, begin)
	m.Evict()
	if got := m.Received(Downstream); got != 7 {
		t.Errorf("downstream %d", got)
	}
	if got := m.Received(Upstream); got != 1<<40 {
		t.Errorf("upstream %d", got)
	}
}

func TestDefaultsAndOff(t *testing.T) {
	var m Tunnel
	if got := log(m.Start(Config{}, begin)); got != "arm 1h0m0s" {
		t.Errorf("default: %q", got)
	}
	if got := log(m.EOF(Upstream, begin)); got != "close_write downstream, arm 5m0s" {
		t.Errorf("default half-open: %q", got)
	}
	if got := log(m.Start(Config{Idle: -1, HalfOpen: -1}, begin)); got != "arm 0s" {
		t.Errorf("off: %q", got)
	}
	if got := log(m.Timer(begin.Add(1e6*time.Hour), [2]int{})); got != "" {
		t.Errorf("off: %q", got)
	}
	if got := log(m.EOF(Upstream, begin)); got != "close_write downstream, arm 0s" {
		t.Errorf("off: %q", got)
	}
	if got := (Config{High: 10, Low: 10}).orDefaults().Low; got != 2 {
		t.Errorf("a low mark not below the high one: %d", got)
	}
}

func TestMisuseIsABug(t *testing.T) {
	for name, misuse := range map[string]func(){
		"not started":     func() { new(Tunnel).EOF(Upstream, begin) },
		"bytes after EOF": func() { m := started(); m.EOF(Upstream, begin); m.Bytes(Upstream, 1, 0, begin) },
		"illegal edge":    func() { m := started(); m.switchTo(Flushing) },
		"edge from final": func() { m := started(); m.Evict(); m.switchTo(Open) },
	} {
		func() {
			defer func() {
				if got := fmt.Sprint(recover()); !strings.HasPrefix(got, "BUG: tunnel: ") {
					t.Errorf("%s: %s", name, got)
				}
			}()
			misuse()
		}()
	}
}

func started() *Tunnel {
	m := new(Tunnel)
	m.Start(Config{}, begin)
	return m
}

func TestNames(t *testing.T) {
	for i := range 5 {
		for _, s := range []fmt.Stringer{Op(i), Cause(i + 1), State(i)} {
			if got := s.String(); got == "invalid" || got == "" {
				t.Errorf("%T(%d) = %q", s, i, got)
			}
		}
	}
	for _, s := range []fmt.Stringer{Op(99), Cause(0), State(99), Side(2)} {
		if got := s.String(); got != "invalid" {
			t.Errorf("%T = %q", s, got)
		}
	}
	for c := Completed; c <= Cut; c++ {
		if got, want := (Outcome{Cause: c}).Clean(), c == Completed; got != want {
			t.Errorf("%s: clean %v", c, got)
		}
	}
}

func TestEventsAllocateNothing(t *testing.T) {
	m := started()
	pauses := 0
	if got := testing.AllocsPerRun(100, func() {
		for a := range m.Bytes(Downstream, 1, 1<<20, begin).All() {
			if a.Op == Pause {
				pauses++
			}
		}
		for range m.Drained(Upstream, 0, begin).All() {
		}
	}); got != 0 {
		t.Errorf("%v allocations", got)
	}
	if pauses == 0 {
		t.Error("never paused")
	}
}

// TestLeave: the owner takes over. The timer is disarmed, no Finish comes, and no event asks for
// anything any more, from whatever state.
func TestLeave(t *testing.T) {
	for _, before := range []func(*Tunnel){
		func(*Tunnel) {},
		func(m *Tunnel) { m.Bytes(Downstream, 10, 1<<20, begin) },
		func(m *Tunnel) { m.EOF(Upstream, begin) },
		func(m *Tunnel) { m.Bytes(Upstream, 1, 1, begin); m.Closed(Upstream, errReset, begin) },
	} {
		var m Tunnel
		m.Start(Config{}, begin)
		before(&m)
		var got []Action
		for a := range m.Leave().All() {
			got = append(got, a)
		}
		if len(got) != 1 || got[0] != (Action{Op: Arm}) || m.State() != Finished {
			t.Errorf("%+v in %s", got, m.State())
		}
		if n := m.Leave().Len() + m.EOF(Downstream, begin).Len() + m.Evict().Len() + m.Closed(Downstream, nil, begin).Len() +
			m.Bytes(Downstream, 1, 1, begin).Len() + m.Timer(begin.Add(24*time.Hour), [2]int{}).Len(); n != 0 {
			t.Errorf("%d actions after it", n)
		}
	}
}
