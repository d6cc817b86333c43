package e2e

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// stallRounds is how often each attack and its idle twin are played in turns.
const stallRounds = 10

// TestH2AttackStalls: how long a bystander waits beside each attack, against how long it waits beside as many connections
// that do nothing, in turns, so that what the machine does meanwhile strikes both. The attackers need CPU themselves, of
// which there may be little: that is in the ratio too.
func TestH2AttackStalls(t *testing.T) {
	if !heavy() {
		t.Skip("ten rounds of every attack")
	}
	var report strings.Builder
	fmt.Fprintf(&report, "# A bystander beside attackers of HTTP/2\n\n%d rounds of each, in turns with as many idle connections; the bystander is one HTTP/2 connection with four callers. "+
		"Of a round its slowest exchange and its 99th of 100 count; the table has the median round.\n\n"+
		"| attack | ground | p99 idle | p99 attack | ratio | slowest idle | slowest attack | ratio |\n|---|---|---|---|---|---|---|---|\n", stallRounds)
	for _, a := range h2Attacks() {
		for _, g := range h2Grounds(a) {
			t.Run(a.name+", "+g.name, func(t *testing.T) { report.WriteString(a.stalls(t, g)) })
		}
	}
	if name := os.Getenv("E2E_STALLS_REPORT"); name != "" {
		write(t, name, report.String())
	}
}

// stalls is a row of the table.
func (a h2Attack) stalls(t *testing.T, g ground) string {
	t.Helper()
	v := newVictim(t, g)
	var p99, worst [2][]time.Duration // beside idle ones, beside attackers
	for round := range 2 * stallRounds {
		which := (round + round/2) % 2
		slow := a.beside(t, v, which == 1)
		p99[which] = append(p99[which], slow[len(slow)*99/100])
		worst[which] = append(worst[which], slow[len(slow)-1])
	}
	row := fmt.Sprintf("| %s | %s |", a.name, g.name)
	for _, d := range [][2][]time.Duration{p99, worst} {
		idle, attacked := median(d[0]), median(d[1])
		row += fmt.Sprintf(" %v | %v | %.2f |", idle.Round(10*time.Microsecond), attacked.Round(10*time.Microsecond), float64(attacked)/float64(idle))
	}
	t.Log(row)
	return row + "\n"
}

func median(d []time.Duration) time.Duration { return slices.Sorted(slices.Values(d))[len(d)/2] }

// beside plays one round, and returns how long each of the bystander's exchanges took, the slowest last.
func (a h2Attack) beside(t *testing.T, v *victim, attack bool) (took []time.Duration) {
	t.Helper()
	l, quit := newLedger(), make(chan struct{})
	wait := clients(1, v.door, l, quit, h2Posts)
	l.warm(t, 20)
	began := time.Now()
	if attack {
		over, faults := a.charge(v.door)
		l.warm(t, l.total()+400)
		<-over
		for err := range faults {
			if err != nil {
				t.Error(err)
			}
		}
	} else {
		var idle []*framer
		for range a.conns {
			f, err := dialFrames(v.door)
			if err != nil {
				t.Fatal(err)
			}
			idle = append(idle, f)
		}
		l.warm(t, l.total()+400)
		for _, f := range idle {
			_ = f.Close()
		}
	}
	close(quit)
	wait()
	if len(l.lost)+len(l.wrong)+len(l.own) > 0 {
		t.Errorf("%s: the bystander lost %q", a.name, l.lost)
	}
	for _, s := range l.span {
		if s.ended.After(began) {
			took = append(took, s.ended.Sub(s.began))
		}
	}
	slices.Sort(took)
	return took
}
