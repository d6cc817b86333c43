package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluiceproxy/sluice/admin"
	"github.com/sluiceproxy/sluice/health"
)

// drainFlags are the flags of `sluice drain`.
type drainFlags struct {
	target
	undo, ack, park bool
	deadline        time.Duration
	close           uint64
	watch, once     bool
	dryRun          bool
	peers           bool
	max             int
	every           time.Duration
	at              []time.Duration
}

func newDrain() *cobra.Command {
	f := &drainFlags{}
	c := &cobra.Command{
		Use: "drain", Short: "Drain a running proxy, see who holds it, steer it, or take it back", Args: cobra.NoArgs,
		Long: `Begin to drain a running proxy as SIGTERM would. With --park it stays when it is drained,
until a signal comes. Every other flag looks at a drain or steers one, and begins none:

  --undo        back to serving, while it is still in its lame duck
  --ack         balancers have stopped sending: end the lame duck now
  --deadline D  the drain that runs ends D from now; a platform that was told to stop us waits
                no longer than platform.stop_timeout, and more than that is refused
  --close ID    end one connection, by the ID that --watch shows
  --watch       who holds the drain: protocol, route, identity, peer, age, bytes, why, and when
                it is expected to be gone; it goes on until nothing is left or the proxy is gone,
                or the generation that it was asked for (--generation).
                Before a drain it shows who would hold one. After another of these flags: first
                that, then watch. --once: look once
  --dry-run     what a drain would cut if it began to wait now, for several budgets (--at)

Addresses of peers are hashed unless --peers is given. --json prints one object for each look.

What is predicted, and from what: an idle connection is closed by a rule (idle_close), which is
certain unless it wakes. An exchange or a tunnel is judged by how long those of its route lasted
that had lasted as long as it has: the expected end is when half of them were over, a chance is
the share that lasted longer. Where fewer than 20 lasted as long, nothing is said (unknown); then
only the deadline is certain. What was cut is not counted as an end, nor are requests to come.`,
		Example: `  sluice drain -c sluice.yaml --dry-run            # what would a drain cut, after 10, 30 and 60 s?
  sluice drain -c sluice.yaml                      # begin
  sluice drain -c sluice.yaml --watch              # who holds it
  sluice drain -c sluice.yaml --deadline 10s       # sooner
  sluice drain -c sluice.yaml --undo               # back, while it is a lame duck`,
		RunE: f.run,
	}
	f.bind(c.Flags())
	fs := c.Flags()
	fs.BoolVar(&f.undo, "undo", false, "go back to serving (in the lame duck only)")
	fs.BoolVar(&f.ack, "ack", false, "end the lame duck: balancers have stopped sending")
	fs.BoolVar(&f.park, "park", false, "stay when drained instead of exiting")
	fs.DurationVar(&f.deadline, "deadline", -1, "move the deadline of the running drain to so long from now; 0 cuts what is left")
	fs.Lookup("deadline").DefValue = ""
	fs.Uint64Var(&f.close, "close", 0, "close the connection with this ID")
	fs.BoolVar(&f.watch, "watch", false, "show who holds the drain, until it is over")
	fs.BoolVar(&f.once, "once", false, "with --watch: look once")
	fs.BoolVar(&f.dryRun, "dry-run", false, "show what a drain would cut, and begin none")
	fs.BoolVar(&f.peers, "peers", false, "show addresses of peers instead of hashes")
	fs.IntVar(&f.max, "max", 20, "how many connections to list, 1 to 1000")
	fs.DurationVar(&f.every, "every", 500*time.Millisecond, "how often --watch looks")
	fs.DurationSliceVar(&f.at, "at", []time.Duration{10 * time.Second, 30 * time.Second, time.Minute}, "budgets of --dry-run")
	return teach(c, exits{exitOK: "done, or the drain that was watched is over", exitFailed: "refused or no answer", exitUsage: "usage or configuration"}, "status", "health", "docs/operations.md")
}

func (f *drainFlags) run(cmd *cobra.Command, _ []string) error {
	if err := f.check(cmd); err != nil {
		return err
	}
	client, err := f.client()
	if err != nil {
		return fail(exitUsage, err)
	}
	if f.dryRun {
		return f.forecast(cmd, client)
	}
	if !f.watch || f.steers(cmd) {
		p, said, err := f.act(cmd.Context(), client, cmd.Flags().Changed("deadline"))
		if err != nil {
			return fail(exitFailed, err)
		}
		switch {
		case f.watch:
		case f.asJSON:
			return printJSON(cmd.OutOrStdout(), p)
		default:
			_, err = fmt.Fprintln(cmd.OutOrStdout(), said)
			return err
		}
	}
	return f.look(cmd, client)
}

// check refuses flags that do not go together.
func (f *drainFlags) check(cmd *cobra.Command) error {
	fs := cmd.Flags()
	n := 0
	for _, name := range []string{"undo", "ack", "park", "deadline", "close", "dry-run"} {
		if fs.Changed(name) {
			n++
		}
	}
	switch {
	case n > 1:
		return errors.New("--undo, --ack, --park, --deadline, --close and --dry-run exclude each other")
	case f.watch && (f.park || f.dryRun):
		return errors.New("--watch begins no drain: leave out --park or --dry-run")
	case f.once && !f.watch:
		return errors.New("--once goes with --watch")
	case fs.Changed("deadline") && f.deadline < 0:
		return errors.New("--deadline is from now on, and not negative")
	case fs.Changed("close") && f.close == 0:
		return errors.New("--close wants an ID, which --watch shows")
	case f.max < 1 || f.max > 1000:
		return errors.New("--max is 1 to 1000")
	case f.every < 50*time.Millisecond:
		return errors.New("--every is at least 50ms")
	}
	return nil
}

// steers reports whether something is to be done before the first look.
func (f *drainFlags) steers(cmd *cobra.Command) bool {
	return f.undo || f.ack || f.close != 0 || cmd.Flags().Changed("deadline")
}

// act does the one thing that was asked for, and says what came of it.
func (f *drainFlags) act(ctx context.Context, client *admin.Client, moves bool) (p admin.Progress, said string, err error) {
	switch {
	case f.undo:
		if p, err = client.Drain(ctx, admin.ActionUndo, false); p.State == health.ProcessServing { // at once, or nothing was to be undone
			return p, p.State.String(), err
		}
		return p, "undone: serving again as soon as every service admits", err
	case f.ack:
		p, err = client.Drain(ctx, admin.ActionAcknowledge, false)
		return p, fmt.Sprintf("the lame duck is over: %s left", p.Remaining), err
	case f.close != 0:
		p, err = client.CloseConnection(ctx, f.close)
		return p, fmt.Sprintf("connection %d was told to go: %s left", f.close, p.Remaining), err
	case moves:
		p, err = client.MoveDeadline(ctx, f.deadline)
		return p, fmt.Sprintf("%s: %s left, %.1f s for them", p.State, p.Remaining, p.SecondsLeft), err
	}
	p, err = client.Drain(ctx, admin.ActionStart, f.park)
	return p, fmt.Sprintf("%s: %s left", p.State, p.Remaining), err
}

// forecast prints what a drain would cut.
func (f *drainFlags) forecast(cmd *cobra.Command, client *admin.Client) error {
	fc, err := client.Forecast(cmd.Context(), f.at)
	if err != nil {
		return fail(exitFailed, err)
	}
	if f.asJSON {
		return printJSON(cmd.OutOrStdout(), fc)
	}
	return printForecast(cmd.OutOrStdout(), fc)
}

// look shows who holds the drain, once or until it is over.
func (f *drainFlags) look(cmd *cobra.Command, client *admin.Client) error {
	w := &watcher{flags: f, client: client, out: cmd.OutOrStdout()}
	w.terminal = isTerminalWriter(w.out) && !f.asJSON
	if err := w.run(cmd.Context()); err != nil {
		return fail(exitFailed, err)
	}
	return nil
}
