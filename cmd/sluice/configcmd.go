package main

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/sluiceproxy/sluice/config"
)

func newConfig() *cobra.Command {
	c := &cobra.Command{Use: "config", Short: "Look at the configuration"}
	runGroup(c)
	c.AddCommand(newConfigShow())
	return c
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
	o.bind(c.Flags(), true)
	c.Flags().BoolVar(&all, "effective", false, "print defaults as well")
	c.Flags().BoolVar(&origin, "origin", false, "print where each value comes from")
	c.Flags().BoolVar(&timeline, "timeline", false, "draw the longest stop that the values allow")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func printSettings(cmd *cobra.Command, list []config.Setting, all, origin, asJSON bool) error {
	type line struct {
		Path   string `json:"path"`
		Value  string `json:"value"`
		Origin string `json:"origin"`
	}
	lines := []line{}
	for _, s := range list {
		if all || s.Origin.Kind != config.FromDefault {
			lines = append(lines, line{s.Path, s.Value, s.Origin.String()})
		}
	}
	if asJSON {
		enc := json.NewEncoder(cmd.OutOrStdout())
		enc.SetIndent("", "  ")
		return enc.Encode(lines)
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
