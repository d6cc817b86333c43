package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluiceproxy/sluice/bench/lab"
	"github.com/sluiceproxy/sluice/bench/lab/report"
)

func newSuggest() *cobra.Command {
	f := &rollFlags{}
	c := &cobra.Command{
		Use: "suggest", Short: "The smallest lame duck and drain that lose nothing here", Args: cobra.NoArgs,
		Long: `Restarts again and again with shorter times, from --lame-duck and --drain downwards, by halves:
first the lame duck, which must outlast --poll and --propagation, then the drain, which must
outlast what is in flight (--long). Takes some minutes.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			all, err := f.prepare()
			if err != nil || len(all) != 1 || len(f.proxies) != 1 {
				return &exitError{report.ExitUsage, fmt.Errorf("suggest wants one plan and one proxy: %w", err)}
			}
			l, done, err := f.launcher(cmd.Context(), f.proxies[0])
			if err != nil {
				return &exitError{report.ExitUsage, err}
			}
			defer done()
			cfg := f.cfg
			cfg.Launcher, cfg.Plan, cfg.Dir = l, all[0], ""
			cfg.Tell = func(format string, args ...any) { fmt.Fprintf(cmd.ErrOrStderr(), format+"\n", args...) }
			s, err := lab.Suggest(cmd.Context(), lab.Trial{LameDuck: f.cfg.LameDuck, Drain: f.cfg.Drain}, lab.Trials(cfg))
			if err != nil {
				return &exitError{report.ExitLost, err}
			}
			out := cmd.OutOrStdout()
			fmt.Fprintf(out, "%d trials; nothing was lost or refused with\n\n", len(s.Trials))
			fmt.Fprintf(out, "lame_duck: {min: %v}\ndrain: {timeout: %v}\n\n", s.LameDuck, s.Drain)
			fmt.Fprintf(out, "by this load, with a balancer that asks every %v and needs %v more. Chance has a part in it: leave room above.\n", f.cfg.Poll, max(f.cfg.Propagation, 0))
			return nil
		},
	}
	f.bind(c.Flags())
	c.Flags().Lookup("warm").DefValue, f.cfg.Warm = "1s", time.Second
	c.Flags().Lookup("lame-duck").DefValue, f.cfg.LameDuck = "2s", 2*time.Second
	return c
}
