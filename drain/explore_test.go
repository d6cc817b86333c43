package drain_test

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/drain"
)

// alphabet is what can happen, as bytes of a script, with at most two connections.
var alphabet = map[string]byte{
	"open": 0x00, "leave": 0x01, "drain": 0x02, "track": 0x05, "405ms": 0x96,
	"first active": 0x09, "second active": 0x19, "first idle": 0x0b, "second idle": 0x1b,
	"first tunnel": 0x0d, "first done": 0x0f, "second done": 0x1f, "second cut": 0x3f,
	"first has its own deadline": 0x6e, "first goes last": 0x4e,
	"evict the first": 0xc4, "evict the second": 0xd4, "deadline 3s": 0xd3, "deadline 1.5s": 0xc3,
}

// key is all that the model knows, with times as they are seen from now.
func (m *model) key() string {
	var b strings.Builder
	ago := func(t time.Time) time.Duration {
		if t.IsZero() {
			return -1
		}
		return min(m.clk.now.Sub(t), 2*budget) // what is older than everything is just old
	}
	fmt.Fprint(&b, m.state, ago(m.leftAt), ago(m.leftStep), ago(m.began), ago(m.deadline), m.shortest, m.cut, m.forced, ago(m.settled))
	for _, id := range slices.Sorted(maps.Keys(m.conns)) {
		c := m.conns[id]
		fmt.Fprint(&b, id, id <= m.leaveID, c.class, ago(c.since), c.evicted, c.deadline, c.cause, c.bye, slices.Index(m.terms, c.terms), ago(c.termed))
	}
	fmt.Fprint(&b, m.tr.Stats().Connections.Total(), m.tracked)
	return b.String()
}

// explore goes through every order of up to depth events, breadth first, and not twice
// through what the model cannot tell apart. After each it lets the drain end. What the
// model had to say comes with the shortest script that makes it.
func explore(faults drain.Faults, depth int) (states int, said alarm, script []byte) {
	defer func() {
		if r := recover(); r != nil {
			said = r.(alarm)
		}
	}()
	seen := map[string]bool{}
	names := slices.Sorted(maps.Keys(alphabet))
	for layer := [][]byte{nil}; depth >= 0 && len(layer) > 0; depth-- {
		var next [][]byte
		for _, before := range layer {
			for _, name := range names {
				if name == "track" && strings.Count(string(before), string(rune(alphabet["track"]))) == 2 {
					continue
				}
				script = append(slices.Clip(before), alphabet[name])
				m := newModel(alarm(""), faults)
				m.run(script)
				k := m.key()
				if seen[k] {
					continue
				}
				seen[k] = true
				next = append(next, script)
				m.end()
			}
		}
		layer = next
	}
	return len(seen), "", nil
}

func TestEveryStateOfTheTracker(t *testing.T) {
	depth := 7
	if text := os.Getenv("EXPLORE_DEPTH"); text != "" {
		var err error
		if depth, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	states, said, script := explore(drain.Faults{}, depth)
	if said != "" {
		t.Fatalf("after % x: %s", script, said)
	}
	t.Logf("%d states in up to %d events", states, depth)
	for name, faults := range everyFault() {
		if _, said, script := explore(faults, 6); said == "" {
			t.Errorf("%s: not noticed", name)
		} else {
			t.Logf("%s: after % x: %s", name, script, said)
		}
	}
}
