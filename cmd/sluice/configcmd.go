package main

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/docs"
)

func newConfig() *cobra.Command {
	c := &cobra.Command{
		Use:   "config",
		Short: "Look at the configuration, and lay files out",
		Long: `The configuration is one YAML file, completed from the environment and flags. "sluice validate" checks it;
these commands show what is in force and why, what there is to set, and lay the file out.`,
		Example: `  sluice config show --effective --origin -c sluice.yaml
  sluice config fmt --check sluice.yaml`,
	}
	runGroup(c)
	c.AddCommand(newConfigShow(), newConfigSchema(), newConfigEnv(), newConfigFmt())
	return teach(c, exits{exitOK: "done", exitFailed: "the answer is no", exitUsage: "usage, or faults in a file"}, "validate", "docs/config.md")
}

// newConfigSchema prints the schema for editors.
func newConfigSchema() *cobra.Command {
	c := &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of the configuration file, for editors",
		Long: `Print the JSON Schema (draft 2020-12) of the configuration file. An editor that speaks to
yaml-language-server completes keys, explains them and marks faults if the file begins with

  # yaml-language-server: $schema=./config.schema.json

"sluice validate" sees more: what only the whole can show, and the files that are named.`,
		Example: `  sluice config schema > config.schema.json`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := cmd.OutOrStdout().Write(docs.ConfigSchema)
			return err
		},
	}
	return teach(c, exits{exitOK: "printed"}, "validate", "config env", "docs/config.md")
}

func newConfigShow() *cobra.Command {
	o := &options{}
	var origin, all, asJSON, timeline bool
	c := &cobra.Command{
		Use:   "show",
		Short: "Print the effective configuration, and where each value comes from",
		Long: `Print the values that differ from the default, or all with --effective, and with
--origin where each comes from: flag, environment, file and line, or default. With --timeline
draw the longest stop that they allow: what platform.stop_timeout has to hold, in order.`,
		Example: `  sluice config show -c sluice.yaml                        # what you set
  sluice config show -c sluice.yaml --effective --origin   # all there is, and where each comes from
  sluice config show -c sluice.yaml --timeline             # the longest stop`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := o.load(cmd.Flags())
			if err != nil {
				return fail(exitUsage, err)
			}
			if timeline {
				return printTimeline(cmd.OutOrStdout(), cfg, asJSON)
			}
			return printSettings(cmd, cfg.Settings(), all, origin, asJSON)
		},
	}
	o.bind(c, true)
	c.Flags().BoolVar(&all, "effective", false, "print defaults as well")
	c.Flags().BoolVar(&origin, "origin", false, "print where each value comes from")
	c.Flags().BoolVar(&timeline, "timeline", false, "draw the longest stop that the values allow")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return teach(c, exits{exitOK: "printed", exitUsage: "the configuration has faults; every one is printed"}, "validate", "config env", "docs/config.md")
}

// settingLine is a value as `sluice config show --json` has it.
type settingLine struct {
	Path   string `json:"path"`   // "drain.timeout", "listeners[0].address"
	Value  string `json:"value"`  // as it would be written in the file
	Origin string `json:"origin"` // flag, variable, FILE:LINE, or default
}

func printSettings(cmd *cobra.Command, list []config.Setting, all, origin, asJSON bool) error {
	lines := []settingLine{}
	for _, s := range list {
		if all || s.Origin.Kind != config.FromDefault {
			lines = append(lines, settingLine{s.Path, s.Value, s.Origin.String()})
		}
	}
	if asJSON {
		return printJSON(cmd.OutOrStdout(), lines)
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	for _, l := range lines {
		if origin {
			fmt.Fprintf(w, "%s:\t%s\t# %s\n", l.Path, l.Value, l.Origin)
		} else {
			fmt.Fprintf(w, "%s:\t%s\n", l.Path, l.Value)
		}
	}
	return w.Flush()
}
