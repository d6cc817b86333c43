package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sluiceproxy/sluice/config"
)

// newCompletion prints what a shell has to read to complete commands, flags and values.
func newCompletion() *cobra.Command {
	c := &cobra.Command{
		Use:       "completion bash|zsh|fish|powershell",
		Short:     "Print what a shell reads to complete our commands, flags and values",
		ValidArgs: []string{"bash", "zsh", "fish", "powershell"},
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		Long: `Print a script for your shell. Put it where the shell looks for such files, once, and <TAB> knows the
commands, their flags, and the values of those that have few. bash needs its package bash-completion.`,
		Example: `  sluice completion bash > /etc/bash_completion.d/sluice
  sluice completion zsh > "${fpath[1]}/_sluice"
  sluice completion fish > ~/.config/fish/completions/sluice.fish`,
		RunE: func(cmd *cobra.Command, args []string) error {
			root, out := cmd.Root(), cmd.OutOrStdout()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(out, true)
			case "zsh":
				return root.GenZshCompletion(out)
			case "fish":
				return root.GenFishCompletion(out, true)
			}
			return root.GenPowerShellCompletionWithDesc(out)
		},
	}
	return teach(c, exits{exitOK: "printed", exitUsage: "no such shell"}, "docs/cli.md")
}

// completeAll says for every command and flag what its values are: those of a closed set, files,
// directories, or nothing. Without that a shell offers files for a number.
func completeAll(c *cobra.Command) {
	if c.ValidArgsFunction == nil && c.ValidArgs == nil && c.Args != nil && c.Args(c, []string{"x"}) != nil {
		c.ValidArgsFunction = cobra.NoFileCompletions
	}
	c.Flags().VisitAll(func(f *pflag.Flag) { completeFlag(c, f) })
	for _, sub := range c.Commands() {
		completeAll(sub)
	}
}

func completeFlag(c *cobra.Command, f *pflag.Flag) {
	if _, known := c.GetFlagCompletionFunc(f.Name); known {
		return
	}
	var values []string
	path := f.Name
	if key := f.Annotations[noteKey]; key != nil {
		path = key[0]
		values = config.Values(path)
	}
	var err error
	switch {
	case values != nil:
		err = c.RegisterFlagCompletionFunc(f.Name, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	case f.Name == "config":
		err = c.MarkFlagFilename(f.Name, "yaml", "yml")
	case strings.HasSuffix(path, "dir") || path == "policy":
		err = c.MarkFlagDirname(f.Name)
	case strings.HasSuffix(path, "file") || path == "receipt" || path == "drain.receipt": // whatever the shell offers
	default:
		err = c.RegisterFlagCompletionFunc(f.Name, cobra.NoFileCompletions)
	}
	if err != nil {
		panic(fmt.Sprintf("BUG: completion of --%s: %v", f.Name, err))
	}
}
