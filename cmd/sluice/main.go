// Command sluice is a lightweight edge proxy that authenticates and authorizes every
// request, refuses traffic until its policy is in force, and stops, restarts and
// changes without losing one request. `sluice --help` lists its commands.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

// Exit codes of every command; health has 0 and 1 only.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2 // flags, config or policy
	exitCut    = 3 // run: drained, but something was cut

	exitConflict = 4 // policy publish, policy rollback: somebody else was first
)

func main() { os.Exit(execute(os.Args[1:])) }

// execute runs one command line and returns the exit code.
func execute(args []string) int {
	root := newRoot()
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(context.Background())
	if err == nil {
		return exitOK
	}
	var code *exitError
	if errors.As(err, &code) {
		if code.err != nil {
			fmt.Fprintln(os.Stderr, code.err)
			if hint := troubleOf(code.err).hint(); hint != "" {
				fmt.Fprintln(os.Stderr, hint)
			}
		}
		return code.code
	}
	fmt.Fprintln(os.Stderr, "sluice:", err)
	if cmd.Name() == "health" {
		return exitFailed // it has 0 and 1 only: to Docker, 2 is reserved
	}
	return exitUsage
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

func (e *exitError) Unwrap() error { return e.err }

// fail ends a command with a code and a message.
func fail(code int, err error) error { return &exitError{code, err} }

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "sluice",
		Short: "An edge proxy that stops, restarts and changes without losing a request",
		Long: `Sluice stands in front of your servers. It authenticates and authorizes every
request, refuses traffic until its policy is in force, and on SIGTERM drains
without losing one request, and says in a receipt what became of each.`,
		Example: `  sluice demo                                          # a proxy, an upstream and a policy to play with
  sluice run --listen :8080 --to 127.0.0.1:9000 --public
  sluice run --config sluice.yaml
  sluice help run                                      # what there is to know about a command`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	runGroup(root)
	teach(root, exits{exitOK: "done", exitFailed: "failed, or the answer is no", exitUsage: "usage, configuration or policy", exitCut: "run: drained, and something was cut",
		exitConflict: "policy publish: somebody else was first"},
		"demo", "run", "explain", "docs/cli.md", "docs/config.md", "docs/operations.md")
	root.CompletionOptions.DisableDefaultCmd = true // ours says when to use it
	root.SetHelpFunc(func(c *cobra.Command, _ []string) { _ = writeHelp(c.OutOrStdout(), c) })
	root.SetUsageFunc(func(c *cobra.Command) error { return writeHelp(c.OutOrStderr(), c) })
	root.AddCommand(newRun(), newDemo(), newValidate(), newConfig(), newHealth(), newStatus(), newWhy(), newDrain(), newReload(), newSession(), newUpgrade(), newFleet(), newListenExec(), newDoctor(),
		newPolicy(), newExplain(), newCompletion(), newVersion())
	completeAll(root)
	return root
}

// runGroup makes a command that only holds others refuse a word that is none of them:
// without a RunE cobra prints the help and calls that a success.
func runGroup(c *cobra.Command) {
	c.Args = cobra.NoArgs
	c.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
}
