package main

import (
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluiceproxy/sluice/bench/lab"
	"github.com/sluiceproxy/sluice/bench/lab/record"
	"github.com/sluiceproxy/sluice/bench/lab/replica"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func view(at time.Duration) lab.View {
	return lab.View{At: at, Open: 7, Now: record.Now{Sent: 100, OK: 90, Lost: 2, Refused: 1, Running: 7, Gap: 30 * time.Millisecond, P99: time.Millisecond},
		Replicas: []lab.ReplicaView{
			{Name: "a.1", Phase: replica.Gone}, {Name: "a.2", Phase: replica.Ready, Since: time.Second, Connections: 4},
			{Name: "b.1", Phase: replica.Draining, Since: 5 * time.Second, Connections: 3},
		}}
}

// TestLive: a terminal shows each replica and takes the last drawing away; elsewhere there is a
// line a second and no control character.
func TestLive(t *testing.T) {
	var b strings.Builder
	l := &live{out: &b, name: "sluice", terminal: true, lameDuck: time.Second, drain: 10 * time.Second, began: time.Now()}
	l.look(view(time.Second))
	want := "   1.0 s  100 due, 90 ok, 2 lost, 1 refused, 7 under way, 7 connections, p50 0s, p99 1ms, longest gap 30ms\n" +
		"  a.2    [########################] ready       1.0 s     4 connections\n" +
		"  b.1    [------------            ] draining    5.0 s     3 connections, at most 5.0 s more\n" +
		"  1 gone\n"
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
	b.Reset()
	l.tell("a.3 is in")
	if !strings.HasPrefix(b.String(), "\x1b[4A\x1b[J") || !strings.HasSuffix(b.String(), "a.3 is in\n") {
		t.Errorf("%q", b.String())
	}
	b.Reset()
	l = &live{out: &b, name: "sluice", began: time.Now()}
	for at := time.Duration(0); at <= 3*time.Second; at += 250 * time.Millisecond {
		l.look(view(at))
	}
	if n := strings.Count(b.String(), "\n"); n != 3 || strings.Contains(b.String(), "\x1b") {
		t.Errorf("%d lines: %q", n, b.String())
	}
}
