package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluiceproxy/sluice/admin"
	"github.com/sluiceproxy/sluice/lifecycle/handover"
)

func newUpgrade() *cobra.Command {
	t := &target{}
	c := &cobra.Command{
		Use: "upgrade", Short: "Replace a running proxy by the program that is at its path now", Args: cobra.NoArgs,
		Long: `Have a running proxy start its successor: the program that is at its path now, with the same
arguments and environment, the configuration as it is now, and the listening sockets. When the
successor is ready with a policy at least as new, it takes over and the old process drains.
If the successor fails (upgrade.ready_timeout), or ends or hangs soon after (upgrade.take_back),
the old process serves on. SIGUSR2 does the same. As PID 1 it is refused.

Waits until the upgrade is confirmed. Exit codes: 0 confirmed, 1 failed or refused; the reason
is printed.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := t.client()
			if err != nil {
				return fail(exitUsage, err)
			}
			p, err := runUpgrade(cmd.Context(), client, func(p admin.UpgradeProgress) {
				if !t.asJSON {
					tellUpgrade(cmd.OutOrStdout(), p)
				}
			})
			if t.asJSON && p.Result != "" {
				if err := printJSON(cmd.OutOrStdout(), p); err != nil {
					return err
				}
			}
			return failed(p, err)
		},
	}
	t.bind(c.Flags())
	return c
}

// failed is the exit of the command.
func failed(p admin.UpgradeProgress, err error) error {
	switch {
	case err != nil:
		return fail(exitFailed, err)
	case p.Result != handover.Succeeded:
		return fail(exitFailed, fmt.Errorf("upgrade %s: %s", p.Result, p.Reason))
	}
	return nil
}

// Times of runUpgrade.
const (
	askUpgrade   = 100 * time.Millisecond
	silentFor    = 10 * time.Second // nobody answers: the switch takes milliseconds
	answerWithin = 5 * time.Second
)

// runUpgrade starts an upgrade and asks until its end; tell hears of each step once. The
// process that answers changes on the way: it is the generation that says which upgrade is
// meant.
func runUpgrade(ctx context.Context, client *admin.Client, tell func(admin.UpgradeProgress)) (admin.UpgradeProgress, error) {
	begun, err := client.Upgrade(ctx)
	if err != nil {
		return begun, err
	}
	last, answered := begun, time.Now()
	tell(begun)
	tick := time.NewTicker(askUpgrade)
	defer tick.Stop()
	for !last.Result.Final() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return last, ctx.Err()
		}
		p, err := ask(ctx, client)
		switch {
		case err != nil && time.Since(answered) > silentFor:
			return last, err
		case err != nil:
			continue
		case p.Generation != begun.Generation:
			return last, errors.New("another upgrade began meanwhile: ask `sluice status`")
		}
		answered = time.Now()
		if p.Result != last.Result {
			tell(p)
		}
		last = p
	}
	return last, nil
}

func ask(ctx context.Context, client *admin.Client) (admin.UpgradeProgress, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	return client.Upgraded(ctx)
}

// tellUpgrade prints one step.
func tellUpgrade(out io.Writer, p admin.UpgradeProgress) {
	switch p.Result {
	case handover.Underway:
		fmt.Fprintf(out, "generation %d starts\n", p.Generation)
	case handover.Switched:
		fmt.Fprintf(out, "generation %d serves, pid %d\n", p.Generation, p.PID)
	case handover.Succeeded:
		fmt.Fprintf(out, "confirmed: generation %d stands, pid %d\n", p.Generation, p.PID)
	case handover.None, handover.Refused, handover.TakenBack: // the exit says why
	}
}

// newListenExec becomes a successor: only a process itself knows the LISTEN_PID that it
// must have.
func newListenExec() *cobra.Command {
	return &cobra.Command{
		Use: "listen-exec -- PROGRAM [ARGUMENT...]", Hidden: true, Args: cobra.MinimumNArgs(1), DisableFlagParsing: true,
		Short: "Set LISTEN_PID to this process and become PROGRAM",
		RunE: func(_ *cobra.Command, args []string) error {
			if args[0] == "--" {
				args = args[1:]
			}
			return fail(exitFailed, handover.ListenExec(args))
		},
	}
}
