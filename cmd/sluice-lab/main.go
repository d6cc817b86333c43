// Command sluice-lab restarts proxies under load and says what that cost: Sluice, and
// others beside it. `sluice-lab --help` lists its commands.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sluiceproxy/sluice/bench/lab/report"
)

func main() { os.Exit(execute(os.Args[1:])) }

// execute runs one command line and returns the exit code.
func execute(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := newRoot()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var code *exitError
	switch {
	case err == nil:
		return report.ExitOK
	case errors.As(err, &code):
		if code.err != nil {
			fmt.Fprintln(os.Stderr, "sluice-lab:", code.err)
		}
		return code.code
	}
	fmt.Fprintln(os.Stderr, "sluice-lab:", err)
	return report.ExitUsage
}

// exitError carries an exit code through cobra. A nil err was already told.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.err.Error()
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "sluice-lab",
		Short: "Restart proxies under load, and see what that costs",
		Long: `Starts replicas of a proxy behind a balancer that honours readiness, loads them with
every class of client in an open loop, restarts them by a plan, proves that each restart
happened, and says what was lost, where and why. Everything is on loopback.

  sluice-lab roll                                  Sluice, one replica after the other
  sluice-lab roll --plan surge --proxy haproxy     another proxy, another plan
  sluice-lab roll --proxy all                      all that are installed, side by side
  sluice-lab roll --html report.html --json a.json
  sluice-lab compare a.json b.json
  sluice-lab suggest                               the smallest times that lose nothing here

Exit codes: 0 nothing lost and every restart proven, 1 something lost or a limit broken,
2 usage, 3 a restart not proven, 4 the generator could not keep up.`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(newRoll(), newCompare(), newSuggest(), newGoShutdown())
	return root
}
