package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/sluiceproxy/sluice/lifecycle/handover"
)

func newRun() *cobra.Command {
	o := &options{}
	var receipt string
	c := &cobra.Command{
		Use:   "run",
		Short: "Run the proxy",
		Long: `Run the proxy until SIGTERM or SIGINT, then drain.

  first signal    not ready at once, goes on accepting (lame duck), then drains
  second signal   skips the lame duck
  third signal    cuts what is left; none keeps the receipt from being written, which has
                  5 s from a signal that comes when everything is closed
  SIGINT          at a terminal counts as the first and the second
  SIGHUP          reads policy and keys again
  SIGUSR2         upgrades, as sluice upgrade does

Listening sockets that systemd passes (LISTEN_FDS) are used where their names are those of
listeners, or "probes" or "admin".`,
		Example: `  sluice run --listen :8080 --to 127.0.0.1:9000 --public
  sluice run --listen :8080 --to 127.0.0.1:9000 --policy ./policy
  sluice run --config sluice.yaml --drain-timeout 20s`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ignoreUpgradeSignal()
			from, err := whence()
			if err != nil {
				return fail(exitFailed, fmt.Errorf("sluice: %w", err))
			}
			if err := o.check(); err != nil {
				return err
			}
			if receipt != "" {
				*o.scalars["drain.receipt"] = receipt
				if err := cmd.Flags().Set("drain-receipt", receipt); err != nil {
					return err
				}
			}
			cfg, err := o.load(cmd.Flags())
			if err != nil {
				return fail(exitUsage, err)
			}
			if o.public && cfg.Policy.Dir != "" {
				return fmt.Errorf("--public allows every request of everybody, but there is a policy in %s (policy.dir): leave out one of them", cfg.Policy.Dir)
			}
			if o.public && cfg.Policy.Source == "etcd" {
				return errors.New("--public allows every request of everybody, but the policy comes from etcd (policy.source): leave out one of them")
			}
			log, logTo := openLog(os.Stderr, cfg.Log)
			defer logTo.CloseWithin(logFlush)
			if n, known := descriptorLimit(); known {
				if err := fitDescriptors(cfg, n, log); err != nil {
					return fail(exitUsage, fmt.Errorf("sluice: %w", err))
				}
			}
			if err := receiptHasAPlace(cfg.Drain.Receipt); err != nil {
				return fail(exitUsage, fmt.Errorf("sluice: %w", err))
			}
			a, err := newApp(cfg, o, log, os.Stdout, from)
			if err != nil {
				return fail(exitUsage, fmt.Errorf("sluice: %w", err))
			}
			a.process = logTo
			if code := a.run(context.Background()); code != exitOK {
				return fail(code, nil)
			}
			return nil
		},
	}
	o.bind(c, true)
	c.Flags().StringVar(&receipt, "receipt", "", "write the receipt of the drain to this file (drain.receipt)")
	return teach(c, exits{exitOK: "drained", exitFailed: "failed", exitUsage: "usage or configuration; every fault is printed", exitCut: "drained, and something was cut: the receipt names it"},
		"validate", "status", "drain", "docs/config.md", "docs/operations.md")
}

// whence reads what the process was started with. It comes before everything that opens a
// descriptor or reads the environment.
func whence() (origin, error) {
	given, err := handover.Receive()
	if err != nil {
		return origin{}, err
	}
	command, err := handover.ThisCommand()
	return origin{given, command}, err
}
