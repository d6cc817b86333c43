package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/sluiceproxy/sluice/admin"
	"github.com/sluiceproxy/sluice/health"
)

// watcher is `sluice drain --watch`: it looks again and again until the drain is over. On a
// terminal each look is drawn over the last one; elsewhere it is a line where something
// changed, or one object of JSON for each look.
type watcher struct {
	flags    *drainFlags
	client   *admin.Client
	out      io.Writer
	terminal bool

	drawn    int       // lines of the last look, on a terminal
	last     string    // what the last line said, elsewhere, but for the time
	lastAt   time.Time // of it
	stopping bool      // a drain was seen
}

// run returns nil when the drain is over: nothing is left and the proxy parked, or it is gone.
func (w *watcher) run(ctx context.Context) error {
	tick := time.NewTicker(w.flags.every)
	defer tick.Stop()
	for {
		v, err := w.client.Watch(ctx, w.flags.max, w.flags.peers)
		switch refused := (*admin.RefusedError)(nil); {
		case errors.As(err, &refused) && w.passed(refused.Code):
			_, err = fmt.Fprintln(w.sayTo(), refused.Text)
			return err
		case errors.As(err, &refused) || err != nil && !w.stopping:
			return err
		case err != nil && w.flags.generation != 0: // it is the one that serves who does not answer
			return fmt.Errorf("how generation %d ends is not known here: %w", w.flags.generation, err)
		case err != nil: // it answered while it drained, and does not any more: that was the end
			_, err = fmt.Fprintln(w.sayTo(), "the proxy is gone; its receipt says how it ended")
			return err
		}
		w.stopping = w.stopping || stops(v.Drain.State)
		if err := w.show(v); err != nil {
			return err
		}
		if w.flags.once || over(v.Drain.State) {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// passed reports whether a refusal is the end of the generation that is watched: it has given
// its account, or did so before whoever answers now was started.
func (w *watcher) passed(code int) bool {
	return w.flags.generation != 0 && (code == http.StatusGone || code == http.StatusNotFound && w.stopping)
}

// sayTo is where a last word goes: not between objects of JSON.
func (w *watcher) sayTo() io.Writer {
	if w.flags.asJSON {
		return os.Stderr
	}
	return w.out
}

func stops(s health.Process) bool {
	switch s {
	case health.ProcessLameDuck, health.ProcessDraining, health.ProcessDrained, health.ProcessStopped, health.ProcessFailed:
		return true
	case health.ProcessStarting, health.ProcessServing:
	}
	return false
}

func over(s health.Process) bool {
	return s == health.ProcessDrained || s == health.ProcessStopped || s == health.ProcessFailed
}

func (w *watcher) show(v admin.Watch) error {
	switch {
	case w.flags.asJSON:
		return json.NewEncoder(w.out).Encode(v)
	case w.terminal || w.flags.once:
		return w.draw(v)
	}
	said := fmt.Sprint(v.Drain.State, v.Connections.Total)
	if hs := v.Connections.Holders; len(hs) > 0 {
		said += fmt.Sprint(hs[0].ID, hs[0].Class)
	}
	at := v.Connections.At
	if said == w.last && at.Sub(w.lastAt) < repeatLine {
		return nil
	}
	w.last, w.lastAt = said, at
	_, err := fmt.Fprintf(w.out, "%s %s\n", at.Format(time.TimeOnly), summary(v))
	return err
}

// repeatLine is after how long a line comes again although nothing changed but the time.
const repeatLine = 5 * time.Second

// draw puts a look over the one before: the cursor goes up by as many lines, and what is
// left of them is erased. A line that is too long is cut off by the terminal and not
// wrapped, and so is a look that is too high, so that the lines can be counted.
func (w *watcher) draw(v admin.Watch) error {
	var text, b bytes.Buffer
	render(&text, v, w.terminal)
	if !w.terminal {
		_, err := w.out.Write(text.Bytes())
		return err
	}
	if w.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", w.drawn)
	}
	b.WriteString("\x1b[J\x1b[?7l")
	lines := bytes.SplitAfter(text.Bytes(), []byte("\n"))
	if rows := terminalRows(w.out.(*os.File)); rows > 1 && len(lines) > rows {
		lines = lines[:rows-1]
	}
	w.drawn = 0
	for _, line := range lines {
		b.Write(line)
		w.drawn += bytes.Count(line, []byte("\n"))
	}
	b.WriteString("\x1b[?7h")
	_, err := w.out.Write(b.Bytes())
	return err
}

// isTerminalWriter reports whether somebody looks at w, and it can be drawn on.
func isTerminalWriter(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && isTerminal(f) && draws()
}
