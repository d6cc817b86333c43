package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/sluiceproxy/sluice/bench/lab"
	"github.com/sluiceproxy/sluice/bench/lab/replica"
)

// live shows a run while it runs: a few lines that are drawn again and again on a terminal,
// a line a second elsewhere.
type live struct {
	out      io.Writer
	name     string
	terminal bool
	lameDuck time.Duration
	drain    time.Duration
	began    time.Time

	mu    sync.Mutex // guards what follows
	drawn int        // lines of the last drawing
	last  lab.View
	lines time.Duration // of the last plain line
}

// isTerminal says that somebody looks.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// tell is a line that stays.
func (l *live) tell(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wipe()
	fmt.Fprintf(l.out, "%7.2f s  %s: %s\n", time.Since(l.began).Seconds(), l.name, fmt.Sprintf(format, args...))
}

// wipe takes the last drawing away. Called with the lock.
func (l *live) wipe() {
	if l.drawn > 0 {
		fmt.Fprintf(l.out, "\x1b[%dA\x1b[J", l.drawn)
	}
	l.drawn = 0
}

// look shows how things stand.
func (l *live) look(v lab.View) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.terminal {
		if v.At-l.lines >= time.Second {
			l.lines = v.At
			fmt.Fprintf(l.out, "%7.2f s  %s: %s\n", time.Since(l.began).Seconds(), l.name, counts(v))
		}
		return
	}
	l.wipe()
	text := l.draw(v)
	l.drawn = strings.Count(text, "\n")
	_, _ = io.WriteString(l.out, text)
	l.last = v
}

func counts(v lab.View) string {
	return fmt.Sprintf("%d due, %d ok, %d lost, %d refused, %d under way, %d connections, p50 %v, p99 %v, longest gap %v",
		v.Now.Sent, v.Now.OK, v.Now.Lost, v.Now.Refused, v.Now.Running, v.Open, round(v.Now.P50), round(v.Now.P99), v.Now.Gap.Round(time.Millisecond))
}

func round(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }

// bar is the length of a replica's bar.
const bar = 24

// draw is the whole of it.
func (l *live) draw(v lab.View) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%6.1f s  %s\n", v.At.Seconds(), counts(v))
	gone := 0
	for _, r := range v.Replicas {
		if r.Phase == replica.Gone {
			gone++
			continue
		}
		fmt.Fprintf(&b, "  %-6s %s %-9s %5.1f s  %4d connections%s\n", r.Name, l.bar(r), strings.ReplaceAll(r.Phase.String(), "_", " "), r.Since.Seconds(), r.Connections, l.left(r))
	}
	if gone > 0 {
		fmt.Fprintf(&b, "  %d gone\n", gone)
	}
	return b.String()
}

// limit is how long a phase may last; 0: there is none.
func (l *live) limit(p replica.Phase) time.Duration {
	switch p {
	case replica.LameDuck:
		return l.lameDuck
	case replica.Draining:
		return l.drain
	case replica.Starting, replica.Ready, replica.Gone:
	}
	return 0
}

// bar is full while a replica is ready, and empties to the deadline of a phase that has one.
func (l *live) bar(r lab.ReplicaView) string {
	sign := map[replica.Phase]string{replica.Starting: ".", replica.Ready: "#", replica.LameDuck: "~", replica.Draining: "-"}[r.Phase]
	n := bar
	if limit := l.limit(r.Phase); limit > 0 {
		n = bar - min(bar, int(int64(bar)*int64(r.Since)/int64(limit)))
	}
	return "[" + strings.Repeat(sign, n) + strings.Repeat(" ", bar-n) + "]"
}

func (l *live) left(r lab.ReplicaView) string {
	limit := l.limit(r.Phase)
	if limit == 0 {
		return ""
	}
	return fmt.Sprintf(", at most %.1f s more", max(limit-r.Since, 0).Seconds())
}

// done leaves the terminal as it should be.
func (l *live) done() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wipe()
}
