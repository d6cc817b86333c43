package main

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/sluiceproxy/sluice/admin"
)

// showGenerations lists who serves and who drains still, oldest first.
func showGenerations(cmd *cobra.Command, client *admin.Client, asJSON bool) error {
	list, err := client.Generations(cmd.Context())
	if err != nil {
		return fail(exitFailed, err)
	}
	if asJSON {
		return printJSON(cmd.OutOrStdout(), list)
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "GENERATION\tPID\tSTATE\tCONNECTIONS\tLEFT\t")
	for _, g := range list {
		left, remark := "", g.Error
		if g.Drain.SecondsLeft > 0 {
			left = fmt.Sprintf("%.1f s", g.Drain.SecondsLeft)
		}
		if g.Receipt != nil && g.State == "drained" {
			remark = g.Receipt.String()
		}
		fmt.Fprintf(w, "%d\t%d\t%s\t%s\t%s\t%s\n", g.Generation, g.PID, g.State, g.Drain.Remaining, left, remark)
	}
	return w.Flush()
}
