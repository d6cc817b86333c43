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
If the successor fails (upgrade.ready_timeout), or fails, ends or hangs soon after
(upgrade.take_back), the old process serves on. SIGUSR2 does the same. As PID 1 it is refused.

Where the new configuration has another admin.address, --admin-address is the one of the process
that runs.

Use it to change the program or the configuration without closing a port. Waits until the upgrade is
confirmed.`,
		Example: `  install -m 0755 sluice-new /usr/local/bin/sluice && sluice upgrade -c /etc/sluice/sluice.yaml
  sluice status -c /etc/sluice/sluice.yaml --generations   # who serves, and who drains`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := t.client()
			if err != nil {
				return fail(exitUsage, err)
			}
			u := &upgradeRun{client: client, reach: t.reach, tell: func(p admin.UpgradeProgress) {
				if !t.asJSON {
					tellUpgrade(cmd.OutOrStdout(), p)
				}
			}}
			p, err := u.run(cmd.Context())
			if t.asJSON && p.Result != "" {
				if err := printJSON(cmd.OutOrStdout(), p); err != nil {
					return err
				}
			}
			return failed(p, err)
		},
	}
	t.bind(c.Flags())
	return teach(c, exits{exitOK: "confirmed", exitFailed: "failed, refused or taken back; the reason is printed, and the old process serves", exitUsage: "usage or configuration"},
		"status", "reload", "docs/operations.md")
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

// Times of upgradeRun.
const (
	askUpgrade   = 100 * time.Millisecond
	silentFor    = 10 * time.Second // nobody answers: the switch takes milliseconds
	answerWithin = 5 * time.Second
)

// upgradeRun starts an upgrade and asks until its end. The process that answers changes on
// the way: it is the generation that says which upgrade is meant.
type upgradeRun struct {
	client *admin.Client
	reach  func(address string) (*admin.Client, error)
	tell   func(admin.UpgradeProgress) // hears of each step once

	last     admin.UpgradeProgress
	answered time.Time // when anybody did, the last time
	followed bool      // client is the one of the successor's own address
}

func (u *upgradeRun) run(ctx context.Context) (admin.UpgradeProgress, error) {
	begun, err := u.client.Upgrade(ctx)
	if refused := (*admin.RefusedError)(nil); err != nil && !errors.As(err, &refused) {
		return begun, fmt.Errorf("%w If the configuration has a new admin.address, give the one of the process that runs (--admin-address)", err)
	}
	if err != nil {
		return begun, err
	}
	u.last, u.answered = begun, time.Now()
	u.tell(begun)
	tick := time.NewTicker(askUpgrade)
	defer tick.Stop()
	for !u.last.Result.Final() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return u.last, ctx.Err()
		}
		if err := u.ask(ctx, begun.Generation); err != nil {
			return u.last, err
		}
	}
	return u.last, nil
}

// ask asks once. An error ends the run.
func (u *upgradeRun) ask(ctx context.Context, generation int) error {
	within, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	p, err := u.client.Upgraded(within)
	switch {
	case err != nil && time.Since(u.answered) > silentFor:
		return fmt.Errorf("generation %d was last seen %s, and now: %w", generation, u.last.Result, err)
	case err != nil:
		u.follow()
		return nil
	case p.Generation != generation:
		return errors.New("another upgrade began meanwhile: ask `sluice status`")
	}
	u.answered = time.Now()
	if p.Result != u.last.Result {
		u.tell(p)
	}
	u.last = p
	return nil
}

// follow goes on where the successor says that it is: the new configuration may have another
// admin.address, and then nobody answers here once the predecessor has drained.
func (u *upgradeRun) follow() {
	if u.followed || u.last.Admin == "" {
		return
	}
	if client, err := u.reach(u.last.Admin); err == nil {
		u.client, u.followed = client, true
	}
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
	case handover.None:
		if p.Reason != "" {
			fmt.Fprintln(out, p.Reason)
		}
	case handover.Refused, handover.TakenBack: // the exit says why
	}
}

// reach is a client of another address, with everything else as it was asked for.
func (t *target) reach(address string) (*admin.Client, error) {
	there := *t
	there.addr = address
	return there.client()
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
