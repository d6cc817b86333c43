package main

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/sluiceproxy/sluice/config"
)

// envLine is a variable as `sluice config env --json` has it.
type envLine struct {
	Variable string `json:"variable"`
	Key      string `json:"key"`
	Flag     string `json:"flag"`
	Value    string `json:"value"`    // that is in force
	Origin   string `json:"origin"`   // of it: flag, variable, FILE:LINE, or default
	InForce  bool   `json:"in_force"` // the variable is what decides
}

func newConfigEnv() *cobra.Command {
	o := &options{}
	var asJSON, set bool
	c := &cobra.Command{
		Use:   "env",
		Short: "List the variables of the environment that set a key, with the value in force",
		Long: `List every variable of the environment that sets a key of the configuration, the value that is in
force, and where that comes from: a flag goes before a variable, a variable before the file, the file
before the default. Use it to see what a container could set, and why a value is not the one you set.
There is nothing secret in it: keys hold names of files with secrets, never secrets.`,
		Example: `  sluice config env                        # all there are, and the defaults
  sluice config env --set                  # those that decide in this shell
  sluice config env --config sluice.yaml | grep DRAIN`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			src, err := o.source(cmd.Flags())
			if err != nil {
				return fail(exitUsage, err)
			}
			list, err := config.Environment(src)
			if err != nil {
				return fail(exitUsage, err)
			}
			return printEnvironment(cmd, list, set, asJSON)
		},
	}
	o.bind(c, false)
	c.Flags().BoolVar(&set, "set", false, "only those that decide")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return teach(c, exits{exitOK: "printed", exitUsage: "a value cannot be read, or a variable or key is none; every fault is printed"}, "config show", "explain", "docs/config.md")
}

func printEnvironment(cmd *cobra.Command, list []config.Variable, set, asJSON bool) error {
	lines := []envLine{}
	for _, v := range list {
		if !set || v.InForce {
			lines = append(lines, envLine{v.Name, v.Path, config.FlagName(v.Path), v.Value, v.Origin.String(), v.InForce})
		}
	}
	if asJSON {
		return printJSON(cmd.OutOrStdout(), lines)
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "VARIABLE\tKEY\tVALUE\tFROM")
	for _, l := range lines {
		from := l.Origin
		if l.InForce {
			from = "this variable"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", l.Variable, l.Key, dash(l.Value), from)
	}
	return w.Flush()
}
