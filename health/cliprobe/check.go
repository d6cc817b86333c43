package cliprobe

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/sluiceproxy/sluice/health"
)

// Options of a check. Address is needed.
type Options struct {
	// Address of the probes listener, "host:port" as in the configuration. Without a
	// host, or with the unspecified one, it is loopback of either family.
	Address string
	// Probe to ask; the zero value is health.Startup.
	Probe health.Probe
	// Exclude lists checks that do not count, by either of their names.
	Exclude []string
	// Wait is for how long to ask again after a no, at growing intervals; 0: once.
	Wait time.Duration
	// Timeout bounds one attempt; 0: 3s.
	Timeout time.Duration
	// JSON prints the answer as JSON on stdout, whatever it is.
	JSON bool

	// Dial replaces the network; nil: net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// DefaultTimeout bounds one attempt.
const DefaultTimeout = 3 * time.Second

// The intervals of Wait.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 2 * time.Second
)

// Check asks and prints: the answer to stdout if it is yes, what is wrong to stderr if
// it is no. It returns the exit code: 0 for yes, 1 for everything else.
func Check(ctx context.Context, o Options, stdout, stderr io.Writer) (exit int) {
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Wait > 0 {
		within, cancel := context.WithTimeout(ctx, o.Wait)
		defer cancel()
		ctx = within
	}
	a, err := o.until(ctx)
	if o.JSON {
		printJSON(stdout, a, err)
	}
	switch {
	case err != nil:
		fmt.Fprintln(stderr, err)
		return 1
	case !a.OK:
		fmt.Fprintln(stderr, a.text())
		return 1
	}
	if !o.JSON {
		fmt.Fprintln(stdout, a.text())
	}
	return 0
}

// until asks until the answer is yes, and returns the last one that told something.
func (o Options) until(ctx context.Context) (a answer, err error) {
	c, err := o.client()
	if err != nil {
		return o.nothing(), err
	}
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		next, nextErr := c.ask(ctx)
		if nextErr == nil || ctx.Err() == nil || err == nil && a.Name == "" {
			a, err = next, nextErr // not the attempt that the end of Wait cut short
		}
		if err == nil && a.OK || o.Wait <= 0 || !sleep(ctx, pause) {
			return a, err
		}
	}
}

// sleep waits for d and reports whether there is time left.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// answer is what the process said: the JSON of package httpprobe. The two packages share
// it on the wire only, and the tests of this one hold them together.
type answer struct {
	Name string `json:"probe"`
	health.Verdict
	Unknown   []string `json:"unknown_excludes,omitempty"`
	Truncated bool     `json:"truncated,omitempty"`
}

// nothing is no answer to the question.
func (o Options) nothing() answer { return answer{Verdict: health.Verdict{Probe: o.Probe}} }

// text is the answer in one line.
func (a answer) text() string {
	text := a.Verdict.String()
	for _, name := range a.Unknown {
		text += fmt.Sprintf("; no check is called %q", name)
	}
	return text
}

// printJSON prints an answer, or the error in the same form.
func printJSON(w io.Writer, a answer, err error) {
	var v any = a
	if err != nil {
		v = struct {
			Probe string `json:"probe"`
			OK    bool   `json:"ok"`
			Error string `json:"error"`
		}{Probe: a.Probe.String(), Error: err.Error()}
	}
	b, err := json.Marshal(v)
	if err != nil {
		panic("BUG: cliprobe: " + err.Error()) // names, numbers and texts only
	}
	fmt.Fprintln(w, string(b))
}
