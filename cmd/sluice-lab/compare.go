package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/sluiceproxy/sluice/bench/lab/report"
)

func newCompare() *cobra.Command {
	return &cobra.Command{
		Use: "compare A.json B.json", Short: "Two files of roll --json side by side", Args: cobra.ExactArgs(2),
		Long: "Matches runs by proxy and plan. Exit codes: 0 B is not worse, 1 B lost or refused more per restart somewhere, 2 usage.",
		RunE: func(cmd *cobra.Command, args []string) error {
			var files [2]report.File
			for i, name := range args {
				text, err := os.ReadFile(name)
				if err == nil {
					err = json.Unmarshal(text, &files[i])
				}
				if err == nil && files[i].Schema != report.Schema {
					err = fmt.Errorf("its schema is %q, and not %q", files[i].Schema, report.Schema)
				}
				if err != nil {
					return &exitError{report.ExitUsage, fmt.Errorf("%s: %w", name, err)}
				}
			}
			if report.Compare(cmd.OutOrStdout(), files[0], files[1]) {
				return &exitError{code: report.ExitLost}
			}
			return nil
		},
	}
}
