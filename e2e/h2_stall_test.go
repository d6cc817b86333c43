package e2e

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// stallRounds is how often each attack and its twins are played in turns.
const stallRounds = 10

// beside is what goes on while a bystander talks.
type beside int

const (
	besideIdle      beside = iota // as many connections that do nothing
	besideElsewhere               // the attack, on another proxy: the same work for the machine, and none for this process
	besideAttack                  // the attack
	besides
)

// TestH2AttackStalls: how long a bystander waits beside each attack, against how long it waits beside as many connections
// that do nothing, and beside the same attack on another proxy, in turns, so that what the machine does meanwhile strikes all.
// Attackers, bystander and upstream are one process and the machine has few CPUs: what an attack elsewhere costs is the machine's
// share, and only the rest can be the proxy's.
func TestH2AttackStalls(t *testing.T) {
	if !heavy() {
		t.Skip("ten rounds of every attack")
	}
	var report strings.Builder
	fmt.Fprintf(&report, "# A bystander beside attackers of HTTP/2\n\n%d rounds of each, in turns: beside as many idle connections, beside the attack on another proxy (the same work for the machine, none for this process), and beside the attack. "+
		"The bystander is one HTTP/2 connection with four callers. Of a round its slowest exchange and its 99th of 100 count; the table has the median round.\n\n"+
		"| attack | ground | p99 idle | p99 elsewhere | p99 attack | attack / elsewhere | slowest idle | slowest elsewhere | slowest attack | attack / elsewhere |\n|---|---|---|---|---|---|---|---|---|---|\n", stallRounds)
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
	v, other := newVictim(t, g), newVictim(t, g)
	var p99, worst [besides][]time.Duration
	for round := range int(besides) * stallRounds {
		which := beside((round + round/int(besides)) % int(besides))
		slow := a.beside(t, v, other, which)
		p99[which] = append(p99[which], slow[len(slow)*99/100])
		worst[which] = append(worst[which], slow[len(slow)-1])
	}
	row := fmt.Sprintf("| %s | %s |", a.name, g.name)
	for _, d := range [][besides][]time.Duration{p99, worst} {
		idle, elsewhere, attacked := median(d[besideIdle]), median(d[besideElsewhere]), median(d[besideAttack])
		row += fmt.Sprintf(" %v | %v | %v | %.2f |", idle.Round(10*time.Microsecond), elsewhere.Round(10*time.Microsecond), attacked.Round(10*time.Microsecond), float64(attacked)/float64(elsewhere))
	}
	t.Log(row)
	return row + "\n"
}

func median(d []time.Duration) time.Duration { return slices.Sorted(slices.Values(d))[len(d)/2] }

// beside plays one round, and returns how long each of the bystander's exchanges took, the slowest last.
func (a h2Attack) beside(t *testing.T, v, other *victim, which beside) (took []time.Duration) {
	t.Helper()
	l, quit := newLedger(), make(chan struct{})
	wait := clients(1, v.door, l, quit, h2Posts)
	l.warm(t, 20)
	began := time.Now()
	target := v
	if which == besideElsewhere {
		target = other
	}
	if which != besideIdle {
		over, faults := a.charge(target.door)
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
